package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// formType is the only content type of the portal's forms.
const formType = "application/x-www-form-urlencoded"

// errForm means that a POST was not made by one of the portal's forms. No field of such
// a request is used (attack A2).
var errForm = errors.New("request does not match the form")

// form holds the fields of a form, each once.
type form map[string]string

// readForm reads the body of a POST that may carry exactly these fields, each
// at most once; a missing field is the empty string. It returns errForm for any
// other field, a repeated field, a query in the address, another content type,
// or text that is not UTF-8, and *http.MaxBytesError for a body over the limit.
func readForm(r *http.Request, fields ...string) (form, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, fmt.Errorf("%w: query in the address", errForm)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, fmt.Errorf("reading form: %w", err)
		}
		return nil, fmt.Errorf("%w: reading body: %w", errForm, err)
	}
	if len(body) > 0 { // a form without fields may lack a type
		if err := checkFormType(r.Header); err != nil {
			return nil, err
		}
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		// The cause quotes the body, which may hold a password: it is not wrapped.
		return nil, fmt.Errorf("%w: malformed encoding", errForm)
	}
	f := make(form, len(fields))
	for name, all := range values {
		switch {
		case !slices.Contains(fields, name):
			return nil, fmt.Errorf("%w: %s", errForm, unknownField(name, fields))
		case len(all) != 1:
			return nil, fmt.Errorf("%w: field %q sent %d times", errForm, name, len(all))
		case !utf8.ValidString(all[0]):
			return nil, fmt.Errorf("%w: field %q is not UTF-8", errForm, name)
		}
		f[name] = all[0]
	}
	return f, nil
}

// maxFieldName is the longest name of an unknown field that an error quotes.
const maxFieldName = 20

// unknownField describes a field for the logs. An unescaped & in a password turns the
// rest of the password into a field name, and audit entries are permanent: so a name
// is quoted only if the form has no password field and the name looks like one.
func unknownField(name string, form []string) string {
	foreign := func(c rune) bool { return (c < 'a' || c > 'z') && c != '_' }
	if slices.Contains(form, "password") || name == "" || len(name) > maxFieldName || strings.ContainsFunc(name, foreign) {
		return "a field that no form has"
	}
	return fmt.Sprintf("unknown field %q", name)
}

// checkFormType accepts the content type that browsers send for a form, with no
// charset but UTF-8 and no Content-Encoding.
func checkFormType(h http.Header) error {
	if h.Get("Content-Encoding") != "" {
		return fmt.Errorf("%w: encoded body", errForm)
	}
	if len(h.Values("Content-Type")) != 1 {
		return fmt.Errorf("%w: content type missing or repeated", errForm)
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != formType {
		return fmt.Errorf("%w: content type %.40q", errForm, h.Get("Content-Type"))
	}
	for name, value := range params {
		if name != "charset" || (value != "utf-8" && value != "UTF-8") {
			return fmt.Errorf("%w: content type parameter %.40q", errForm, name)
		}
	}
	return nil
}
