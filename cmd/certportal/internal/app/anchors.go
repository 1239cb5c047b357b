package app

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/web"
)

// intermediateName is the name of a CA between the issuing one and a company's root,
// counted from below.
func intermediateName(n int) string { return fmt.Sprintf("intermediate-%d", n) }

// anchors reads the further CA certificates that devices must trust.
func anchors(s *config.Settings) ([]web.Anchor, error) {
	var list []web.Anchor
	var errs []error
	taken := map[string]bool{localca.RootName: true, companyRoot: true, "chain": true}
	for n := range 20 { // more than a chain has
		taken[intermediateName(n)] = true
	}
	for i, a := range s.Anchors {
		certs, err := a.Read()
		if err != nil {
			errs = append(errs, fmt.Errorf("anchors[%d] %s: %w", i, a.Name, err))
			continue
		}
		for _, cert := range certs {
			name := freeLabel(fileLabel(a.Name), taken)
			taken[name] = true
			list = append(list, web.Anchor{Name: name, Cert: cert})
		}
	}
	return list, errors.Join(errs...)
}

// freeLabel numbers a label that is empty or taken.
func freeLabel(label string, taken map[string]bool) string {
	if label == "" {
		label = "anchor"
	}
	if strings.HasPrefix(label, localca.IssuingName) {
		label = "further-" + label // the names of later issuing CAs begin so
	}
	free := label
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", label, n)
	}
	return free
}

// fileLabel makes the name of an anchor fit for an address: lower-case letters,
// digits and hyphens.
func fileLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case unicode.IsSpace(r), r == '-', r == '_', r == '.':
			return '-'
		}
		return -1
	}, strings.ToLower(name))
	return strings.Trim(label, "-")
}
