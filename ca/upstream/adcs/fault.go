package adcs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// fault is a SOAP 1.2 fault (section 5.4), with the detail of MS-WSTEP section 3.1.4.1.3.1
// where it comes from the CA and without where it comes from the web server's framework.
type fault struct {
	Code    string        `xml:"http://www.w3.org/2003/05/soap-envelope Code>Value"`
	Subcode string        `xml:"http://www.w3.org/2003/05/soap-envelope Code>Subcode>Value"`
	Reasons []string      `xml:"http://www.w3.org/2003/05/soap-envelope Reason>Text"`
	Details []faultDetail `xml:"Detail>CertificateEnrollmentWSDetail"`
}

type faultDetail struct {
	ErrorCode      string `xml:"ErrorCode"`
	InvalidRequest string `xml:"InvalidRequest"`
	RequestID      string `xml:"RequestID"`
	BinaryResponse string `xml:"BinaryResponse"`
}

// faultError is a fault that says nothing for certain about the fate of a request.
type faultError struct {
	id     string // of the request; empty: the fault names none
	code   string
	text   string
	effect Effect // 0: not from the CA
}

func (f *faultError) Error() string { return fmt.Sprintf("fault %s: %q", f.code, f.text) }

// err classifies the fault: an *upstream.Denied, or a *faultError.
func (f *fault) err() error {
	if len(f.Details) == 1 {
		return f.Details[0].err(f.text())
	}
	name := localName(f.Subcode)
	if name == "" {
		name = localName(f.Code)
	}
	refused, portal := beforeDispatch(name)
	if len(f.Details) == 0 && refused {
		signIn := slices.Contains([]string{"FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken"}, name)
		return &upstream.Denied{Code: name, Text: f.text(), Credentials: portal, SignIn: signIn}
	}
	return &faultError{code: wire.Text(name), text: f.text()}
}

func (f *fault) text() string {
	if len(f.Reasons) == 0 {
		return ""
	}
	return wire.Text(f.Reasons[0])
}

// err decides by the code first: InvalidRequest is true for some broken connections too.
func (d faultDetail) err(text string) error {
	code, ok := ParseHRESULT(d.ErrorCode)
	effect := code.Effect()
	_, explained := Explain(code.String())
	invalid := strings.TrimSpace(d.InvalidRequest)
	if ok && code>>31 == 1 && !explained && (invalid == "true" || invalid == "1") {
		effect = Refused
	}
	switch {
	case !ok || code>>31 == 0: // not an error: nothing is known
		return &faultError{id: requestNumber(d.RequestID), code: wire.Text(d.ErrorCode), text: text}
	case effect == Refused || effect == RefusedPortal:
		return &upstream.Denied{
			ID: requestNumber(d.RequestID), Code: code.String(), Hint: code.Hint(), Text: text, Credentials: effect == RefusedPortal,
			Person: code.RefusesPerson(),
		}
	}
	return &faultError{id: requestNumber(d.RequestID), code: code.Explained(), text: text, effect: effect}
}

// localName gives the local part of a qualified name. Its prefix is resolved by no one: the
// names below are of one namespace each.
func localName(name string) string {
	name = strings.TrimSpace(name)
	return name[strings.LastIndexByte(name, ':')+1:]
}

// beforeDispatch reports faults that servers raise before the message reaches the web
// service, so that nothing was issued, and which of them are about the portal's
// credentials (WS-Security 1.1 section 12, WS-Trust 1.3 section 11, WS-Addressing 1.0 SOAP
// Binding section 6.4, SOAP 1.2 section 5.4.6). InternalServiceFault is none of them.
func beforeDispatch(name string) (refused, credentials bool) {
	switch name {
	case "FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "SecurityTokenUnavailable",
		"UnsupportedSecurityToken", "UnsupportedAlgorithm", "FailedCheck", "MessageExpired":
		return true, true
	case "ActionNotSupported", "DestinationUnreachable", "InvalidAddressingHeader", "MessageAddressingHeaderRequired",
		"MustUnderstand", "VersionMismatch", "DeserializationFailed":
		return true, false
	}
	return false, false
}

// numberOf gives the number that a fault names, by which its request can be asked for.
func numberOf(err error) string {
	var f *faultError
	if errors.As(err, &f) {
		return f.id
	}
	return ""
}

// sawRequest reports whether err shows that the CA itself was asked: it does not know the
// request that was asked for.
func sawRequest(err error) bool {
	var f *faultError
	return errors.As(err, &f) && f.effect == Unanswered
}
