package sqldb

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// redactedError is an error whose text no longer holds a password.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

// Unwrap lets errors.Is see the cause; its text is not to be printed.
func (e *redactedError) Unwrap() error { return e.err }

// redact takes the password of a database address out of an error, also out of
// those that quote an address that could not be parsed.
func redact(err error, address string) error {
	text := err.Error()
	for _, secret := range passwordsOf(address) {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return &redactedError{text: text, err: err}
}

// passwordsOf finds the passwords of an address that [checkUser] let through, as
// they are written there and unescaped.
func passwordsOf(address string) []string {
	var found []string
	for _, pattern := range []string{`://[^:@]*:([^@]+)@`, `(?i)password=([^&\s]+)`} {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(address, -1) {
			found = append(found, match[1])
			if plain, err := url.QueryUnescape(match[1]); err == nil {
				found = append(found, plain)
			}
			if plain, err := url.PathUnescape(match[1]); err == nil {
				found = append(found, plain)
			}
		}
	}
	return found
}

// Place says where the database of an address is, without user and password: its file, or
// hosts and name.
func Place(address string) (string, error) {
	if !isPostgres(address) {
		return sqlitePath(address)
	}
	if err := checkUser(address); err != nil {
		return "", err
	}
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return "", redact(err, address)
	}
	var hosts []string
	add := func(host string, port uint16) {
		if h := net.JoinHostPort(host, strconv.Itoa(int(port))); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	add(c.Host, c.Port)
	for _, f := range c.Fallbacks { // also the same host without TLS
		add(f.Host, f.Port)
	}
	return strings.Join(hosts, ",") + "/" + c.Database, nil
}

// checkUser refuses a user name and password that are not escaped: a part of
// the password would be taken for the host, and be in every error about it.
func checkUser(address string) error {
	_, rest, _ := strings.Cut(address, "://")
	end := strings.LastIndex(rest, "@")
	if end < 0 {
		return nil
	}
	if user := rest[:end]; strings.ContainsAny(user, "@/?#[] ") || strings.Count(user, ":") > 1 {
		return errors.New("reading database address: in user name, password and options write / ? # [ ] @ : as %2F %3F %23 %5B %5D %40 %3A")
	}
	return nil
}
