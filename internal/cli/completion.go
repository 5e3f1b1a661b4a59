package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts ask the program itself for the words that can come next, so they stay true whatever version is installed.
// Where there are none, as after a flag that takes a file, they leave it to the shell.
const (
	bashCompletion = `# bash completion of step. To load it: source <(step completion bash)
_step() {
    local IFS=$'\n'
    COMPREPLY=($("$1" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _step step
`
	zshCompletion = `#compdef step
# zsh completion of step. To load it: source <(step completion zsh), after compinit
_step() {
    local -a found
    found=(${(f)"$("$words[1]" completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = _step ]; then _step; else compdef _step step; fi
`
	fishCompletion = `# fish completion of step. To load it: step completion fish | source
function __step_words
    set -l typed (commandline -opc) (commandline -ct)
    $typed[1] completion words -- $typed[2..] 2>/dev/null
end
complete -c step -n 'test (count (__step_words)) -gt 0' -f -a '(__step_words)'
`
)

func completionCommand(app *cli.App) *cli.Command {
	script := func(shell, text string) *cli.Command {
		return &cli.Command{Name: shell, Usage: "print the completion for " + shell, OnUsageError: badUsage, Action: func(c *cli.Context) error {
			_, err := fmt.Fprint(c.App.Writer, text)
			return err
		}}
	}
	return family("completion", "print the completion script of a shell: bash, zsh or fish",
		script("bash", bashCompletion), script("zsh", zshCompletion), script("fish", fishCompletion),
		&cli.Command{Name: "words", Hidden: true, SkipFlagParsing: true, Action: func(c *cli.Context) error {
			for _, word := range words(app.Commands, c.Args().Slice()[min(1, c.NArg()):]) { // the first one is --
				if _, err := fmt.Fprintln(c.App.Writer, word); err != nil {
					return err
				}
			}
			return nil
		}})
}

// words are those that can stand in the place of the last argument.
func words(commands []*cli.Command, args []string) (found []string) {
	if len(args) == 0 {
		return nil
	}
	current := strings.TrimPrefix(args[len(args)-1], "=")                                                      // bash splits --flag=value
	before := slices.DeleteFunc(slices.Clone(args[:len(args)-1]), func(arg string) bool { return arg == "=" }) // in three
	var command *cli.Command
	path, previous := "", ""
	for _, arg := range before {
		if i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == arg }); i >= 0 && !strings.HasPrefix(previous, "-") {
			command = commands[i]
			commands, path = command.Subcommands, strings.TrimSpace(path+" "+arg)
		}
		previous = arg
	}
	var all []string
	flag, prefix := strings.TrimLeft(previous, "-"), ""
	if name, value, given := strings.Cut(current, "="); given && strings.HasPrefix(name, "-") {
		flag, prefix, current, previous = strings.TrimLeft(name, "-"), name+"=", value, name
	}
	takes := command != nil && strings.HasPrefix(previous, "-") && slices.ContainsFunc(command.Flags, func(f cli.Flag) bool {
		_, isBool := f.(*cli.BoolFlag) // which has its value behind a =
		return !isBool && slices.Contains(f.Names(), flag)
	})
	switch {
	case takes:
		if i := slices.IndexFunc(steps(), func(s step) bool { return s.name == path }); i >= 0 {
			all = steps()[i].allowed()[flag]
		}
	case len(commands) > 0:
		for _, c := range commands {
			if !c.Hidden {
				all = append(all, c.Name)
			}
		}
	case command != nil:
		for _, name := range flagNames(command.Flags) {
			all = append(all, "--"+name)
		}
	}
	for _, word := range all {
		if strings.HasPrefix(word, current) && word != "" {
			found = append(found, prefix+word)
		}
	}
	return found
}
