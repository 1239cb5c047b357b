package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxTries bounds the search for the line in which YAML breaks.
const maxTries = 2000

// brokenYAML records a mistake of YAML itself, with the line that breaks it, and returns
// the document of the lines before it. The parser's own line is often the one in which the
// surrounding block began.
func (r *review) brokenYAML(text []byte, cause error) yaml.Node {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := len(lines) - 1; n >= max(0, len(lines)-maxTries); n-- {
		var doc yaml.Node
		if yaml.Unmarshal(bytes.Join(lines[:n], nil), &doc) != nil {
			continue
		}
		line := strings.TrimRight(string(lines[n]), "\r\n")
		r.list = append(r.list, Mistake{Line: n + 1, Text: withoutPassword(fmt.Sprintf("found %q: %s. The lines after it were not read", line, remedy(line, cause)))})
		return doc
	}
	r.list = append(r.list, Mistake{Text: cause.Error()})
	return yaml.Node{}
}

// withoutPassword leaves name and password of an address out of a text.
func withoutPassword(text string) string {
	return regexp.MustCompile(`://.*@`).ReplaceAllString(text, "://…@")
}

// remedy says what to write in place of a line that breaks YAML.
func remedy(line string, cause error) string {
	text := strings.TrimLeft(line, " ")
	_, value, pair := strings.Cut(text, ": ")
	value = strings.TrimSpace(value)
	switch {
	case strings.HasPrefix(text, "\t"), strings.Contains(cause.Error(), "tab character"):
		return "indent with spaces, never with tabs"
	case pair && strings.HasPrefix(value, `"`) && strings.Contains(value, `\`):
		return "write a value with a backslash in single quotes, as 'CORP\\certportal'"
	case pair && openQuote(value):
		return "close the quotes that the value opens"
	case pair && strings.HasPrefix(value, "[") && !strings.Contains(value, "]"), pair && strings.HasPrefix(value, "{") && !strings.Contains(value, "}"):
		return "close the bracket that the value opens"
	case pair && regexp.MustCompile("^[@`%]").MatchString(value), strings.Contains(value, ": "), strings.HasSuffix(value, ":"):
		return "put the value in quotes: " + strings.TrimSpace(text[:strings.Index(text, ":")+1]) + " '" + strings.ReplaceAll(value, "'", "''") + "'"
	case !strings.HasPrefix(text, "-") && !strings.Contains(text, ":"):
		return "write KEY: VALUE, with a colon and a space"
	case !pair && !strings.HasSuffix(strings.TrimSpace(text), ":") && !strings.HasPrefix(text, "-"):
		return "write KEY: VALUE, with a space after the colon"
	}
	return "indent it by as many spaces as the keys beside it, or put its value in quotes (" + strings.TrimPrefix(cause.Error(), "yaml: ") + ")"
}

// openQuote reports whether a value begins with a quote that it does not close.
func openQuote(value string) bool {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return false
	}
	return strings.Count(value, value[:1])%2 == 1
}
