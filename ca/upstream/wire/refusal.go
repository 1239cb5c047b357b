package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"certportal/ca/upstream"
	"certportal/internal/escape"
)

// maxText bounds what a CA says, in characters.
const maxText = 500

// Text makes text of a CA fit to be stored and read: valid UTF-8 of at most 500 characters,
// without characters that change how it reads.
func Text(text string) string {
	return first(escape.Value(first(strings.ToValidUTF8(strings.TrimSpace(text), "\ufffd"))))
}

func first(text string) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), maxText)])
}

// Success reports whether the CA processed the request (RFC 9110 section 15.3).
func (r Reply) Success() bool { return r.Status >= 200 && r.Status < 300 }

// Refusal classifies an answer that is no success by its status alone (RFC 9110 section
// 15). With 3xx and 4xx the request was not fulfilled: the error is an [*upstream.Denied],
// for 401 and 403 of the credentials, for 401 of the sign-in. With every other status a certificate may exist.
// text is what the CA says, such as a field of a JSON body.
func (r Reply) Refusal(text string) error {
	text = Text(text)
	switch {
	case r.Status >= 300 && r.Status < 400:
		return &upstream.Denied{Code: r.code(), Text: "the answer points to " + r.pointsTo() + ", which is not followed: set the address there"}
	case r.Status >= 400 && r.Status < 500:
		refused := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
		return &upstream.Denied{Code: r.code(), Text: text, Credentials: refused, SignIn: r.Status == http.StatusUnauthorized}
	}
	err := fmt.Errorf("answer has status %d: %q", r.Status, text)
	if r.Status == http.StatusServiceUnavailable {
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return err
}

// errUnavailable marks an answer that says that the request was not handled (RFC 9110 section
// 15.6.4).
var errUnavailable = errors.New("server cannot work now")

// OfPoll keeps of the error of a poll that can make the certificate what is about the request:
// status 400, and refused credentials. Another 3xx or 4xx comes from a server before the CA,
// and 503 is believed, as it is not of a submit: then the error is no [*upstream.Denied] and
// wraps [upstream.ErrUnsent], so that the poll is repeated.
func OfPoll(err error) error {
	denied, is := errors.AsType[*upstream.Denied](err)
	if is && !denied.Credentials && denied.Code != (Reply{Status: http.StatusBadRequest}).code() || errors.Is(err, errUnavailable) {
		return fmt.Errorf("%w: %v", upstream.ErrUnsent, err)
	}
	return err
}

func (r Reply) code() string { return fmt.Sprintf("HTTP %d", r.Status) }

// pointsTo gives scheme and host of a redirect. The rest of the address may hold secrets.
func (r Reply) pointsTo() string {
	target, err := url.Parse(r.Header.Get("Location"))
	if err != nil || target.Host == "" {
		return "another path"
	}
	return Text(target.Scheme + "://" + target.Host)
}

// JSON reads a body that is one JSON value and nothing else. Unknown fields are ignored.
func (r Reply) JSON(value any) error {
	if err := json.Unmarshal(r.Body, value); err != nil {
		return fmt.Errorf("reading answer with status %d as JSON: %w", r.Status, err)
	}
	return nil
}

// Post makes a call with a JSON body.
func Post(path string, value any) (Call, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return Call{}, fmt.Errorf("encoding request: %w: %w", upstream.ErrUnsent, err)
	}
	return Call{Method: http.MethodPost, Path: path, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
}
