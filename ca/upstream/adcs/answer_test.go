package adcs_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/internal/test/standin"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

const envelopeFormat = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>%s</s:Body></s:Envelope>`

func collectionOf(responses string) string {
	return fmt.Sprintf(envelopeFormat, `<RequestSecurityTokenResponseCollection xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"`+
		` xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"`+
		` xmlns:e="http://schemas.microsoft.com/windows/pki/2009/01/enrollment">`+responses+`</RequestSecurityTokenResponseCollection>`)
}

func responseOf(requested, number string) string {
	return `<RequestSecurityTokenResponse><RequestedSecurityToken>` + requested +
		`</RequestedSecurityToken><e:RequestID>` + number + `</e:RequestID></RequestSecurityTokenResponse>`
}

func faultOf(code, invalid string) string {
	return fmt.Sprintf(envelopeFormat, `<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>Nein</s:Text></s:Reason>`+
		`<s:Detail><CertificateEnrollmentWSDetail><ErrorCode>`+code+`</ErrorCode><InvalidRequest>`+invalid+
		`</InvalidRequest><RequestID>7</RequestID></CertificateEnrollmentWSDetail></s:Detail></s:Fault>`)
}

const reference = `<o:SecurityTokenReference><o:Reference URI="x"/></o:SecurityTokenReference>`

// Every one of these leaves open whether a certificate exists.
func TestAnswersThatSayNothing(t *testing.T) {
	good := issuedText(t)
	for name, text := range map[string]string{
		"nothing":                 "",
		"HTML":                    "<html><body>Welcome</body></html>",
		"SOAP 1.1":                strings.ReplaceAll(collectionOf(responseOf(reference, "5")), "http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"),
		"no body":                 `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>`,
		"empty body":              fmt.Sprintf(envelopeFormat, ""),
		"two bodies":              strings.Replace(collectionOf(responseOf(reference, "5")), "</s:Body>", "</s:Body><s:Body/>", 1),
		"answer twice":            good + good,
		"text behind":             good + "HTTP/1.1 200 OK",
		"half":                    good[:len(good)/2],
		"two responses":           collectionOf(responseOf(reference, "5") + responseOf(reference, "6")),
		"no response":             collectionOf(""),
		"no token":                collectionOf(responseOf("", "5")),
		"two references":          collectionOf(responseOf(reference+reference, "5")),
		"certificate and pending": collectionOf(responseOf(reference+`<o:BinarySecurityToken>AAAA</o:BinarySecurityToken>`, "5")),
		"pending without number":  collectionOf(responseOf(reference, "")),
		"pending with number 0":   collectionOf(responseOf(reference, "000")),
		"pending with text":       collectionOf(responseOf(reference, "5; DROP TABLE")),
		"pending, long number":    collectionOf(responseOf(reference, strings.Repeat("9", 65))),
		"garbage DER":             collectionOf(responseOf(`<o:BinarySecurityToken>AAAA</o:BinarySecurityToken>`, "5")),
		"garbage base64":          collectionOf(responseOf(`<o:BinarySecurityToken>!!</o:BinarySecurityToken>`, "5")),
		"entity":                  `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>` + collectionOf(responseOf(reference, "&b;")),
		"fault and response": strings.Replace(faultOf("-2146875374", "true"), "</s:Fault>", `</s:Fault><RequestSecurityTokenResponseCollection`+
			` xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"/>`, 1),
		"fault without code":      faultOf("", "true"),
		"fault of success":        faultOf("0", "true"),
		"fault with a warning":    faultOf("5", "true"),
		"fault, code of 40 bits":  faultOf("-21468753740", "true"),
		"fault, connection broke": faultOf("-2147023174", "true"), // 0x800706ba
		"fault, code elsewhere":   faultOf("-2147467259", "false"),
	} {
		_, err := adcs.ReadReply([]byte(text), "")
		var denied *upstream.Denied
		if err == nil || errors.As(err, &denied) || errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: error is %v, want one of an unknown outcome", name, err)
		}
	}
}

// An answer that cannot be used may still give the number to ask for.
func TestNumberOfUnknownOutcome(t *testing.T) {
	server := ces.Start(t)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	server.SetCode(0x800706be) // the connection to the CA broke
	answer, err := client.Submit(t.Context(), request)
	wantUnknown(t, err)
	testkit.Equal(t, "digits of the number", len(answer.ID), 39)
	answer, err = adcs.ReadReply([]byte(collectionOf(responseOf(`<o:BinarySecurityToken>AAAA</o:BinarySecurityToken>`, "5"))), "")
	wantUnknown(t, err)
	testkit.Equal(t, "number", answer.ID, "5")
}

func TestFaultsThatRefuse(t *testing.T) {
	for name, test := range map[string]struct{ text, code string }{
		"by code":                  {faultOf("-2146875374", "false"), "0x80094812"},
		"by code alone":            {faultOf("-2146875374", ""), "0x80094812"},
		"by InvalidRequest":        {faultOf("-2147467259", "true"), "0x80004005"},
		"by a code not explained":  {faultOf("-2146877434", "false"), "0x80094006"},
		"by code in other letters": {faultOf("0x8009480D", "false"), "0x8009480d"},
	} {
		_, err := adcs.ReadReply([]byte(test.text), "")
		if denied := deniedBy(t, err); denied.Code != test.code || denied.Text != "Nein" || denied.ID != "7" {
			t.Errorf("%s: got %+v, want code %s", name, denied, test.code)
		}
	}
}

// The text of a CA must not reach a log or page unbounded.
func TestTextIsBounded(t *testing.T) {
	text := strings.Replace(faultOf("-2146875374", "true"), "Nein", strings.Repeat("ä\u202e", 5000), 1)
	_, err := adcs.ReadReply([]byte(text), "")
	denied := deniedBy(t, err)
	if n := len([]rune(denied.Text)); n > 500 || strings.ContainsRune(denied.Text, '\u202e') {
		t.Errorf("text has %d characters: %.40q", n, denied.Text)
	}
}

func TestNumbersAreKept(t *testing.T) {
	good := issuedText(t)
	for _, number := range []string{"0", "", "8", "x"} {
		text := strings.Replace(good, "<e:RequestID>0</e:RequestID>", "<e:RequestID>"+number+"</e:RequestID>", 1)
		answer, err := adcs.ReadReply([]byte(text), "77")
		if err != nil || answer.ID != "77" {
			t.Errorf("answer with number %q: got %q, error %v, want 77", number, answer.ID, err)
		}
	}
}

// issuedText makes an answer with a certificate and the number 0.
func issuedText(t testing.TB) string {
	t.Helper()
	server := ces.Start(t)
	request, _ := standin.NewRequest(t)
	cert, err := server.Issue(request.CSR)
	if err != nil {
		t.Fatal(err)
	}
	return collectionOf(responseOf(`<o:BinarySecurityToken>`+base64.StdEncoding.EncodeToString(cert.Raw)+`</o:BinarySecurityToken>`, "0"))
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(issuedText(f)), "")
	f.Add([]byte(collectionOf(responseOf(reference, "5"))), "7")
	f.Add([]byte(faultOf("-2146875374", "true")), "")
	f.Fuzz(func(t *testing.T, text []byte, known string) {
		answer, err := adcs.ReadReply(text, known)
		if err == nil && answer.Pending() && answer.ID == "" {
			t.Error("answer is pending without a number")
		}
		if err == nil && known != "" && answer.ID != known {
			t.Errorf("number %q became %q", known, answer.ID)
		}
	})
}

func FuzzCertificates(f *testing.F) {
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02})
	f.Fuzz(func(_ *testing.T, message []byte) { adcs.Certificates(message, nil) })
}
