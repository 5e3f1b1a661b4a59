package contract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

// fromEnvironment is the account of the machine's credentials.
func fromEnvironment(ctx context.Context, getenv func(string) string) (account, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return account{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	a := account{
		cfg: cfg, subnet: getenv("CONTRACT_SUBNET"), beside: getenv("CONTRACT_BESIDE") == "1", out: os.Stderr,
		limit: 45 * time.Minute, pace: pace{poll: 2 * time.Second, patience: 10 * time.Minute},
	}
	a.ask = func(question string) error { return askOnTerminal(question, getenv("CONTRACT_YES") == "1") }
	return a, nil
}

var errNo = errors.New("not begun: the answer was not yes")

// askOnTerminal asks for confirmation on the terminal. It does not use standard input, which go test replaces.
func askOnTerminal(question string, answered bool) error {
	if answered {
		fmt.Fprint(os.Stderr, question)
		return nil
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return errors.New("not begun: there is no terminal to ask on. CONTRACT_YES=1 answers")
	}
	defer func() { _ = terminal.Close() }()
	return ask(terminal, question)
}

func ask(terminal interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}, question string) error {
	fmt.Fprint(terminal, question+"Type yes to begin: ")
	answer, _ := bufio.NewReader(terminal).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return errNo
	}
	return nil
}
