package signin

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"certportal/internal/portal"
)

// KnownLife is how long a browser is known after a right password: as long as browsers
// keep a cookie at most (RFC 6265bis section 5.5).
const KnownLife = 400 * 24 * time.Hour

// maxKnown is how many people one browser is known for: shared desks, and
// administrators with a second account.
const maxKnown = 4

// knownBrowsers makes and checks the cookies of known browsers, after "device cookies"
// of OWASP. A browser gets one with a right password. It opens nothing: wrong passwords
// from it count against a budget of its own, which strangers cannot use up. It names
// no one without the key, and the portal keeps nothing of it but the count of a lost one.
type knownBrowsers struct{ key [32]byte }

// knownBrowser is one entry of the cookie: a number drawn for it, the end of its life,
// the mark of its account, and a MAC over all of it. All entries of an account have the
// same mark, so that signing in often gives no more of what is counted under it.
type knownBrowser struct {
	Nonce [16]byte
	Until int64 // seconds
	Mark  [16]byte
	MAC   [16]byte
}

// knownSize is the length of an entry, in bytes.
const knownSize = 16 + 8 + 16 + 16

func (b knownBrowser) id() string { return hex.EncodeToString(b.Nonce[:]) }

func (b knownBrowser) encode() []byte {
	at := binary.BigEndian.AppendUint64(b.Nonce[:], uint64(b.Until))
	return append(append(at, b.Mark[:]...), b.MAC[:]...)
}

// sum authenticates the parts under a label.
func (k knownBrowsers) sum(label string, parts ...[]byte) [16]byte {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write([]byte(label + "\x00"))
	for _, part := range parts {
		mac.Write(part)
	}
	return [16]byte(mac.Sum(nil))
}

func (k knownBrowsers) mark(account string) [16]byte {
	return k.sum("account", []byte(account))
}

func (k knownBrowsers) mac(b knownBrowser) [16]byte {
	body := b.encode()
	return k.sum("known browser", body[:knownSize-len(b.MAC)])
}

// all returns the genuine entries of a cookie that are not over.
func (k knownBrowsers) all(cookie string, now time.Time) []knownBrowser {
	var all []knownBrowser
	for part := range strings.SplitSeq(cookie, ".") {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(raw) != knownSize || len(all) == maxKnown {
			continue
		}
		var b knownBrowser
		if _, err := binary.Decode(raw, binary.BigEndian, &b); err != nil {
			continue
		}
		if mac := k.mac(b); hmac.Equal(mac[:], b.MAC[:]) && now.Unix() < b.Until {
			all = append(all, b)
		}
	}
	return all
}

// of returns the entry of a cookie for an account.
func (k knownBrowsers) of(cookie, account string, now time.Time) (knownBrowser, bool) {
	mark := k.mark(account)
	for _, b := range k.all(cookie, now) {
		if hmac.Equal(mark[:], b.Mark[:]) {
			return b, true
		}
	}
	return knownBrowser{}, false
}

// add returns the cookie with a new entry for an account in place of its old one.
func (k knownBrowsers) add(cookie, account string, now time.Time) string {
	b := knownBrowser{Until: now.Add(KnownLife).Unix()}
	rand.Read(b.Nonce[:]) // never returns an error, see crypto/rand
	b.Mark = k.mark(account)
	b.MAC = k.mac(b)
	parts := []string{base64.RawURLEncoding.EncodeToString(b.encode())}
	for _, other := range k.all(cookie, now) {
		if !bytes.Equal(b.Mark[:], other.Mark[:]) && len(parts) < maxKnown {
			parts = append(parts, base64.RawURLEncoding.EncodeToString(other.encode()))
		}
	}
	return strings.Join(parts, ".")
}

// KnowBrowser returns the cookie of a browser in which the person gave the right
// password, made from the one that it had.
func (s *Service) KnowBrowser(cookie string, person portal.PersonID) string {
	return s.known.add(cookie, string(person), s.c.Now())
}

// KnownBrowser returns the mark of the person who is known to use a browser, and false for
// other browsers. Limits per address count all known browsers of that person as one,
// however many cookies the person collects.
func (s *Service) KnownBrowser(cookie string) (string, bool) {
	all := s.known.all(cookie, s.c.Now())
	if len(all) == 0 {
		return "", false
	}
	return hex.EncodeToString(all[0].Mark[:]), true
}
