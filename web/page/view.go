package page

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// view is the data of a template: the page, the language and the company. Its methods
// are called by templates and change nothing.
type view struct {
	P      any    // the page, or a piece of it in a partial
	Layout Layout // of the page

	r    *Renderer
	lang string
	page Page
}

// With is the same view of a piece of the page, for partials.
func (v view) With(piece any) view {
	v.P = piece
	return v
}

// T is a sentence of the catalogue. The company's name is always at hand as Org.
func (v view) T(key string, args ...any) (sentence, error) {
	return v.r.words.sentence(v.lang, key, append(args, "Org", v.r.org)...)
}

// Lang is the language the page is written in.
func (v view) Lang() string { return v.lang }

// Name is the file of the page, for the style sheet.
func (v view) Name() string { return v.page.name() }

// Site are the facts about the company.
func (v view) Site() site { return v.r.site }

// Asset is the address of a file of package static.
func (v view) Asset(name string) string { return v.r.assets.Path(name) }

// Faults are the errors of the page's form.
func (v view) Faults() []FieldError {
	if p, ok := v.page.(interface{ faults() []FieldError }); ok {
		return p.faults()
	}
	return nil
}

// Fault is the sentence of one error.
func (v view) Fault(e FieldError) (sentence, error) {
	return v.T(e.Key, "Value", e.Value, "Limit", e.Limit)
}

// FaultOf finds the error of one field; nil without one.
func (v view) FaultOf(field string) *FieldError {
	for _, e := range v.Faults() {
		if e.Field == field {
			return &e
		}
	}
	return nil
}

// Platforms lists the platforms in the order of the pages.
func (v view) Platforms() []string { return platforms() }

// Platform is the word for a platform; for an unknown one, "device".
func (v view) Platform(platform string) (words, error) {
	switch platform {
	case IOS, Android, Windows, MacOS, Linux:
		return v.phrase("platform." + platform)
	}
	return v.phrase("platform.other")
}

// StateKey is the key of the word for a state, or for a filter that means several states.
func (v view) StateKey(state string) string {
	switch state {
	case "pending":
		state = StatusMaking
	case "expiring":
		state = StatusEndsSoon
	}
	for _, key := range []string{"status." + state, "admin.state." + state} {
		if v.r.words.Has(key) {
			return key
		}
	}
	return "status.making"
}

// Services is what a certificate opens: the page's words, the company's, or the
// catalogue's.
func (v view) Services() (words, error) {
	if p, ok := v.page.(Home); ok && p.Services != "" {
		return words(p.Services), nil
	}
	if services := v.r.services.In(v.lang); services != "" {
		return words(services), nil
	}
	return v.phrase("services")
}

// LangLink is this page in another language. Only path and query of Frame.Path
// are kept, so that a link never leaves the portal.
func (v view) LangLink(lang string) string {
	u, err := url.Parse(v.Layout.Path)
	if err != nil {
		u = &url.URL{}
	}
	query := u.Query()
	query.Set("lang", lang)
	return "?" + query.Encode()
}

// Languages lists the languages of the footer.
func (v view) Languages() []string { return Languages() }

// LangName is the name of a language in that language.
func (v view) LangName(lang string) (sentence, error) {
	return v.r.words.sentence(lang, "lang.name")
}

// Bytes is a size in words, "12 KB".
func (v view) Bytes(n int) words {
	switch {
	case n < 1000:
		return words(strconv.Itoa(n) + " B")
	case n < 1_000_000:
		return words(strconv.Itoa((n+500)/1000) + " KB")
	}
	return words(strconv.Itoa((n+500_000)/1_000_000) + " MB")
}

func (v view) phrase(key string, args ...any) (words, error) {
	s, err := v.T(key, args...)
	return words(s.String()), err
}

// Dial makes the number of a tel: link: digits and a leading plus, as RFC 3966
// wants global numbers. The rest of what people write is for reading.
func (v view) Dial(phone string) string {
	phone = strings.ReplaceAll(phone, "(0)", "")
	return strings.Map(func(r rune) rune {
		if r == '+' || (r >= '0' && r <= '9') {
			return r
		}
		return -1
	}, phone)
}

// Pairs cuts a fingerprint behind its colons, where a line may break. It stays as
// the command line prints it: the two are compared by eye.
func (v view) Pairs(fingerprint string) []string { return strings.SplitAfter(fingerprint, ":") }

// Groups cuts a long hexadecimal number into groups of four, for the eye.
func (v view) Groups(hex string) []string {
	hex = strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, hex)
	var groups []string
	for len(hex) > 4 {
		groups = append(groups, hex[:4])
		hex = hex[4:]
	}
	return append(groups, hex)
}
