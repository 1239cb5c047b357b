package adcs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// HRESULT is the code of an answer of AD CS (MS-ERREF section 2.1).
type HRESULT uint32

// String gives it as Windows shows it, such as 0x80094012.
func (h HRESULT) String() string { return fmt.Sprintf("0x%08x", uint32(h)) }

// ParseHRESULT reads 0x80094012, and the signed decimal number of MS-WSTEP, -2146877422.
func ParseHRESULT(text string) (HRESULT, bool) {
	text = strings.TrimSpace(text)
	if hex, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 32)
		return HRESULT(n), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return HRESULT(uint32(n)), err == nil && n >= -1<<31 && n < 1<<32
}

// Effect is what a code says about the request that it answers.
type Effect int

const (
	// Refused means that the CA will not issue this request.
	Refused Effect = iota + 1
	// RefusedPortal means that the CA would refuse every other request too, until an
	// administrator mends the portal's account, its agent certificate or the CA.
	RefusedPortal
	// Unanswered means that the CA could not say what became of a request: of its fate
	// the code says nothing.
	Unanswered
	// Interrupted means that the connection between web service and CA broke: a
	// certificate may exist.
	Interrupted
)

// Explanation is what an administrator of AD CS reads about a code.
type Explanation struct {
	Code    HRESULT
	Name    string // in Windows headers
	Effect  Effect
	Meaning string // one sentence, without full stop
	Remedy  string // what to do and where, one sentence
}

// Explain finds a code of [certportal/ca/upstream.Denied] or of a page of the CA.
func Explain(code string) (Explanation, bool) {
	h, ok := ParseHRESULT(code)
	if !ok {
		return Explanation{}, false
	}
	all := Explanations()
	i := slices.IndexFunc(all, func(e Explanation) bool { return e.Code == h })
	if i < 0 {
		return Explanation{}, false
	}
	return all[i], true
}

// Hint is name, meaning and remedy of a code, for [certportal/ca/upstream.Denied]; empty for a
// code that is not listed.
func (h HRESULT) Hint() string {
	e, ok := Explain(h.String())
	if !ok {
		return ""
	}
	return e.Name + ": " + e.Meaning + ". " + e.Remedy
}

// Explained is the code with its hint.
func (h HRESULT) Explained() string {
	if hint := h.Hint(); hint != "" {
		return h.String() + " (" + hint + ")"
	}
	return h.String()
}

// RefusesPerson reports whether the code is that of a person outside of the restrictions of
// the enrolment agent. The permissions on the template (0x80094012) say nothing of those.
func (h HRESULT) RefusesPerson() bool { return h == 0x80094009 }

// Effect gives what a code says. Codes of the CA's own range, CERTSRV_E_*, are refusals
// when they are not listed; any other code may come from the way to the CA.
func (h HRESULT) Effect() Effect {
	if e, ok := Explain(h.String()); ok {
		return e.Effect
	}
	if h >= 0x80094000 && h <= 0x80094fff {
		return Refused
	}
	return Interrupted
}
