package adcs

import (
	"errors"
	"strings"

	"certportal/ca/upstream"
)

// CodeDenied is the code of a refusal that names no HRESULT.
const CodeDenied = "denied"

// OfRequest keeps of the error of a poll what is the end of the request id: what the CA said
// about it. A [upstream.Denied] about the question alone, such as a redirect or an address
// that is gone, becomes an error that may pass. Refused credentials stay a Denied, with
// Credentials: they say nothing about the request either.
func OfRequest(err error, id string) error {
	var denied *upstream.Denied
	if !errors.As(err, &denied) {
		return err
	}
	denied.ID = id
	if _, code := ParseHRESULT(denied.Code); code || denied.Credentials || denied.Code == CodeDenied {
		return err
	}
	return errors.New(denied.Error())
}

// maxNumber is how long the number of a request may be, in characters.
const maxNumber = 64

// ValidNumber accepts the number of a request. CAs number with up to 39 digits, and 0 is
// none.
func ValidNumber(text string) bool {
	return len(text) <= maxNumber && strings.Trim(text, "0") != "" && strings.Trim(text, "0123456789") == ""
}

// requestNumber gives the number of a request, or nothing for 0 and for text that is none.
func requestNumber(text string) string {
	if text = strings.TrimSpace(text); ValidNumber(text) {
		return text
	}
	return ""
}
