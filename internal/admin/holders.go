package admin

import (
	"context"
	"errors"
	"strings"

	"certportal/ca"
	"certportal/internal/enroll"
)

// Holders is how many people and devices have a certificate in use of an issuing CA: one
// that is valid, and the newest of its device.
type Holders struct {
	People  int
	Devices int
}

// held counts the holders of all issuing CAs, at most a minute ago; nil while a first
// count takes long.
func (s *Service) held(ctx context.Context) (map[string]Holders, error) {
	last, err := s.holders.get(ctx, s.c.Now(), statsLife, countPatience, func(ctx context.Context) (map[string]Holders, error) {
		return s.c.Store.AuthorityHolders(ctx, s.c.Now())
	})
	if errors.Is(err, errBusy) {
		return nil, nil
	}
	return last, storeErr("counting who holds certificates", err)
}

// authorityName reports whether a word can be the name of an issuing CA, or of one elsewhere.
func authorityName(word string) bool {
	if name, elsewhere := strings.CutPrefix(word, enroll.UpstreamPrefix); elsewhere {
		return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	}
	number, later := strings.CutPrefix(word, ca.FirstAuthority+"-")
	return word == ca.FirstAuthority || later && number != "" && strings.Trim(number, "0123456789") == ""
}
