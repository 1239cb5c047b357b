package admin

import (
	"context"
	"net/url"
	"strings"
	"time"
	"unicode"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Kinds lists what the text of a search box may be: the query parameters that hold it.
func Kinds() []string { return []string{fieldPerson, fieldDevice, fieldSerial} }

// Recognize tells what the text of a search box is: the name, UPN or mail address of a
// person, the name of a device, or a serial. Of those whose form it has, it is the first
// under which something is found; without any, the first.
func (s *Service) Recognize(ctx context.Context, by portal.Actor, text string) (kind string, err error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return "", err
	}
	kinds := kindsOf(text)
	for _, kind := range kinds {
		f, bad := ParseFilter(url.Values{kind: {text}}, time.UTC)
		if len(bad) > 0 {
			continue
		}
		known, err := s.c.Store.Known(ctx, f)
		if err != nil {
			return "", storeErr("recognizing search text", err)
		}
		if known {
			return kind, nil
		}
	}
	return kinds[0], nil
}

// kindsOf lists what a text can be by its form, the likeliest first. A word of hexadecimal
// digits is likelier a name when it is short or has no digit: Ada, Bea.
func kindsOf(text string) []string {
	serial, ok := serialPrefix(text)
	switch {
	case !ok || serial == "" || !strings.ContainsFunc(serial, unicode.IsDigit):
		return []string{fieldPerson, fieldDevice}
	case len(serial) >= 8:
		return []string{fieldSerial, fieldPerson, fieldDevice}
	}
	return []string{fieldPerson, fieldDevice, fieldSerial}
}
