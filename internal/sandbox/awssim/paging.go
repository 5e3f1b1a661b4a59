package awssim

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// page cuts one page out of a list. The token names the last item seen, so
// that what is added or removed between two pages shifts nothing; where that
// item is gone, its position counts.
func page[T any](all []T, key func(T) string, token string, size int) (part []T, next string, ok bool) {
	start := 0
	if token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", false
		}
		position, last, found := strings.Cut(string(raw), "|")
		n, err := strconv.Atoi(position)
		if !found || err != nil || n < 0 {
			return nil, "", false
		}
		start = min(n, len(all))
		if i := slices.IndexFunc(all, func(t T) bool { return key(t) == last }); i >= 0 {
			start = i + 1
		}
	}
	end := min(start+size, len(all))
	if end < len(all) {
		next = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end) + "|" + key(all[end-1])))
	}
	return all[start:end], next, true
}

// pageOf reads MaxRecords and NextToken as Auto Scaling has them.
func pageOf[T any](p params, all []T, key func(T) string, standard, most int) ([]T, string, error) {
	size, err := p.integer("MaxRecords", standard)
	if err != nil {
		return nil, "", err
	}
	if size < 1 || size > most {
		return nil, "", validation("1 validation error detected: Value '%d' at 'maxRecords' failed to satisfy constraint: Member must have value between 1 and %d", size, most)
	}
	part, next, ok := page(all, key, p.str("NextToken"), size)
	if !ok {
		return nil, "", fail("InvalidNextToken", "The token '%s' is invalid.", p.str("NextToken"))
	}
	return part, next, nil
}
