package adcs

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"time"
)

// Names of MS-WSTEP section 2.2, WS-Trust 1.3, WS-Addressing 1.0 and WS-Security 1.0.
const (
	nsSOAP       = "http://www.w3.org/2003/05/soap-envelope"
	nsAddressing = "http://www.w3.org/2005/08/addressing"
	nsTrust      = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
	nsSecurity   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	nsEnrollment = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
	nsInstance   = "http://www.w3.org/2001/XMLSchema-instance"

	actionRequest = nsEnrollment + "/RST/wstep"
	requestIssue  = nsTrust + "/Issue"
	requestStatus = nsEnrollment + "/QueryTokenStatus"
	tokenX509     = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
	valuePKCS10   = nsEnrollment + "#PKCS10"
	valuePKCS7    = nsSecurity + "#PKCS7"
	encodingB64   = nsSecurity + "#base64binary"
	passwordText  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"

	// messageLife is how long the server may take the message for new. It is the value of
	// Microsoft's own clients.
	messageLife = 5 * time.Minute
)

// The struct tags hold prefixes, which encoding/xml writes as they are; the namespaces are
// declared once, as attributes of the envelope.
type message struct {
	XMLName    xml.Name `xml:"s:Envelope"`
	SOAP       string   `xml:"xmlns:s,attr"`
	Addressing string   `xml:"xmlns:a,attr"`

	Action    mustUnderstand `xml:"s:Header>a:Action"`
	MessageID string         `xml:"s:Header>a:MessageID"`
	ReplyTo   string         `xml:"s:Header>a:ReplyTo>a:Address"`
	To        mustUnderstand `xml:"s:Header>a:To"`
	Security  *security      `xml:"s:Header>o:Security"`

	Token tokenRequest `xml:"s:Body>RequestSecurityToken"`
}

type mustUnderstand struct {
	Must  int    `xml:"s:mustUnderstand,attr"`
	Value string `xml:",chardata"`
}

type security struct {
	Must     int    `xml:"s:mustUnderstand,attr"`
	Security string `xml:"xmlns:o,attr"`
	Utility  string `xml:"xmlns:u,attr"`
	Created  string `xml:"u:Timestamp>u:Created"`
	Expires  string `xml:"u:Timestamp>u:Expires"`
	Username string `xml:"o:UsernameToken>o:Username"`
	Password struct {
		Type  string `xml:"Type,attr"`
		Value string `xml:",chardata"`
	} `xml:"o:UsernameToken>o:Password"`
}

type tokenRequest struct {
	Trust       string       `xml:"xmlns,attr"`
	TokenType   string       `xml:"TokenType"`
	RequestType string       `xml:"RequestType"`
	Binary      *binaryToken `xml:"BinarySecurityToken"`
	RequestID   requestID    `xml:"RequestID"`
}

type binaryToken struct {
	Space    string `xml:"xmlns,attr"`
	Value    string `xml:"ValueType,attr"`
	Encoding string `xml:"EncodingType,attr"`
	Data     string `xml:",chardata"`
}

type requestID struct {
	Space    string `xml:"xmlns,attr"`
	Instance string `xml:"xmlns:i,attr,omitempty"`
	Nil      bool   `xml:"i:nil,attr,omitempty"`
	ID       string `xml:",chardata"`
}

// issueRequest makes the body of a request for a certificate.
func issueRequest(valueType string, der []byte) tokenRequest {
	return tokenRequest{
		Trust: nsTrust, TokenType: tokenX509, RequestType: requestIssue,
		Binary: &binaryToken{
			Space: nsSecurity, Value: valueType, Encoding: encodingB64,
			Data: base64.StdEncoding.EncodeToString(der),
		},
		RequestID: requestID{Space: nsEnrollment, Instance: nsInstance, Nil: true},
	}
}

// statusRequest makes the body of the question what became of a request.
func statusRequest(id string) tokenRequest {
	return tokenRequest{
		Trust: nsTrust, TokenType: tokenX509, RequestType: requestStatus,
		RequestID: requestID{Space: nsEnrollment, ID: id},
	}
}

// login is the user name and password of WS-Security UsernameToken Profile 1.0.
type login struct{ username, password string }

// envelope makes the message for an address. who is nil with a TLS client certificate.
func envelope(address string, who *login, body tokenRequest, now time.Time) ([]byte, error) {
	id, err := messageID()
	if err != nil {
		return nil, err
	}
	m := message{
		SOAP: nsSOAP, Addressing: nsAddressing,
		Action: mustUnderstand{1, actionRequest}, MessageID: id,
		ReplyTo: nsAddressing + "/anonymous", To: mustUnderstand{1, address}, Token: body,
	}
	if who != nil {
		m.Security = &security{
			Must: 1, Security: nsSecurity, Utility: nsUtility, Username: who.username,
			Created: timestamp(now), Expires: timestamp(now.Add(messageLife)),
		}
		m.Security.Password.Type, m.Security.Password.Value = passwordText, who.password
	}
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).Encode(m); err != nil {
		return nil, fmt.Errorf("encoding message: %w", err)
	}
	return b.Bytes(), nil
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// messageID makes a random UUID (RFC 9562 section 5.4).
func messageID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making message id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
