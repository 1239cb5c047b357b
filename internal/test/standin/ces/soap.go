package ces

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

const (
	enrollment   = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
	security     = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	tokenProfile = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0"
	instance     = "http://www.w3.org/2001/XMLSchema-instance"
	contentType  = "application/soap+xml; charset=utf-8"
)

// lines writes base64 in lines that end in a carriage return, every second one as a
// character reference.
func lines(der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for i := 0; len(text) > 0; i++ {
		n := min(64, len(text))
		b.WriteString(text[:n])
		b.WriteString([]string{"&#xD;\n", "\r\n", "&amp;#xD;\r\n"}[i%3])
		text = text[n:]
	}
	return b.String()
}

func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return b.String()
}

// response makes the answer to a request that was not refused.
func (c *CA) response(disposition, number string, chain []byte, requested string) []byte {
	binary := ""
	if chain != nil {
		binary = fmt.Sprintf(`<o:BinarySecurityToken ValueType="%s#PKCS7" EncodingType="%s#base64binary">%s</o:BinarySecurityToken>`,
			security, security, lines(chain))
	}
	return []byte(fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://www.w3.org/2005/08/addressing">`+
		`<soap:Header><wsa:Action soap:mustUnderstand="1">%s/RSTRC/wstep</wsa:Action></soap:Header><soap:Body>`+
		`<t:RequestSecurityTokenResponseCollection xmlns:t="http://docs.oasis-open.org/ws-sx/ws-trust/200512" xmlns:o="%s">`+
		`<t:RequestSecurityTokenResponse><t:TokenType>%s#X509v3</t:TokenType>`+
		`<DispositionMessage xml:lang="%s" xmlns="%s">%s</DispositionMessage>%s`+
		`<t:RequestedSecurityToken>%s</t:RequestedSecurityToken><RequestID xmlns="%s">%s</RequestID>`+
		`</t:RequestSecurityTokenResponse></t:RequestSecurityTokenResponseCollection></soap:Body></soap:Envelope>`,
		enrollment, security, tokenProfile, c.Language(), enrollment, escaped(disposition), binary, requested, enrollment, number))
}

// fault answers with status 500, as the protocol demands for refused requests too.
func (c *CA) fault(w http.ResponseWriter, subcode, detail string, reason ...string) {
	text := "The server was unable to process the request due to an internal error."
	if len(reason) > 0 {
		text = reason[0]
	}
	if subcode != "" {
		subcode = fmt.Sprintf(`<soap:Subcode><soap:Value xmlns:a="http://www.w3.org/2005/08/addressing">%s</soap:Value></soap:Subcode>`, subcode)
	}
	if detail != "" {
		detail = "<soap:Detail>" + detail + "</soap:Detail>"
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><soap:Fault>`+
		`<soap:Code><soap:Value>soap:Receiver</soap:Value>%s</soap:Code>`+
		`<soap:Reason><soap:Text xml:lang="%s">%s</soap:Text></soap:Reason>%s</soap:Fault></soap:Body></soap:Envelope>`,
		subcode, c.Language(), escaped(text), detail)
}
