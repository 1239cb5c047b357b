// Package powershell makes scripts for Windows PowerShell from templates, in which every
// value is a literal.
package powershell

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"
	"unicode"
)

// Script fills a template of a script. The result is UTF-8 with a byte order mark and CRLF,
// without which Windows PowerShell 5.1 takes it for the code page of the machine.
func Script(source string, values any) ([]byte, error) {
	parsed, err := template.New("script").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("parsing the script: %w", err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		return nil, fmt.Errorf("filling in the script: %w", err)
	}
	return append([]byte("\ufeff"), bytes.ReplaceAll(text.Bytes(), []byte("\n"), []byte("\r\n"))...), nil
}

// Quote makes a literal in which nothing is expanded: between single
// quotes, of which PowerShell knows five, each doubled. Control and format characters, line
// ends among them, are left out.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			continue
		case r == '\'', r >= '\u2018' && r <= '\u201b':
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// Comment leaves out of a text what ends a comment.
func Comment(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '#' || r == '>' || r == '<' {
			return -1
		}
		return r
	}, s)
}
