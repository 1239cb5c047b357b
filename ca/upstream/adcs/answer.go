package adcs

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/smallstep/pkcs7"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// reply is the SOAP body of an answer. What decides is a list, so that an answer that says
// it twice is noticed.
type reply struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
	Bodies  []replyBody `xml:"http://www.w3.org/2003/05/soap-envelope Body"`
}

type replyBody struct {
	Faults      []fault      `xml:"http://www.w3.org/2003/05/soap-envelope Fault"`
	Collections []collection `xml:"http://docs.oasis-open.org/ws-sx/ws-trust/200512 RequestSecurityTokenResponseCollection"`
}

type collection struct {
	Responses []tokenResponse `xml:"http://docs.oasis-open.org/ws-sx/ws-trust/200512 RequestSecurityTokenResponse"`
}

// tokenResponse is RequestSecurityTokenResponse of MS-WSTEP section 3.1.4.1.3.4.
type tokenResponse struct {
	Disposition string           `xml:"http://schemas.microsoft.com/windows/pki/2009/01/enrollment DispositionMessage"`
	RequestID   string           `xml:"http://schemas.microsoft.com/windows/pki/2009/01/enrollment RequestID"`
	Binary      []responseToken  `xml:"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd BinarySecurityToken"`
	Requested   []requestedToken `xml:"http://docs.oasis-open.org/ws-sx/ws-trust/200512 RequestedSecurityToken"`
}

type requestedToken struct {
	Certificates []responseToken `xml:"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd BinarySecurityToken"`
	References   []struct{}      `xml:"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd SecurityTokenReference"`
}

type responseToken struct {
	Value string `xml:"ValueType,attr"`
	Data  string `xml:",chardata"`
}

// parseReply reads a whole SOAP message with one body that holds one fault or one response.
func parseReply(text []byte) (*tokenResponse, *fault, error) {
	var r reply
	d := xml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&r); err != nil {
		return nil, nil, fmt.Errorf("reading SOAP message: %w", err)
	}
	if err := onlySpaceLeft(d); err != nil {
		return nil, nil, err
	}
	if len(r.Bodies) != 1 {
		return nil, nil, fmt.Errorf("SOAP message has %d bodies", len(r.Bodies))
	}
	body := r.Bodies[0]
	switch {
	case len(body.Faults) == 1 && len(body.Collections) == 0:
		return nil, &body.Faults[0], nil
	case len(body.Faults) == 0 && len(body.Collections) == 1 && len(body.Collections[0].Responses) == 1:
		return &body.Collections[0].Responses[0], nil, nil
	}
	return nil, nil, errors.New("SOAP message holds neither one fault nor one response")
}

// plain gives the text of an answer that is neither XML nor a page. Its type says nothing:
// servers that imitate the web service send text as HTML and as SOAP.
func plain(body []byte) string {
	text := strings.TrimLeft(string(body), "\ufeff \t\r\n")
	if strings.HasPrefix(text, "<") || !utf8.ValidString(text) {
		return ""
	}
	return text
}

// onlySpaceLeft refuses a second message behind the first: which of the two is the answer
// is unknown.
func onlySpaceLeft(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading behind SOAP message: %w", err)
		}
		switch t := token.(type) {
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("text behind SOAP message")
			}
		case xml.StartElement:
			return errors.New("a second element behind SOAP message")
		}
	}
}

// answer reads a response by its structure: a certificate is there, or the reference to a
// request that waits. known is the ID that the portal asked for: issued answers may have
// none, 0 or another one. With an error the answer has the ID, if there is one.
func (r *tokenResponse) answer(known string) (upstream.Answer, error) {
	a := upstream.Answer{ID: known, Text: wire.Text(r.Disposition)}
	if known == "" {
		a.ID = requestNumber(r.RequestID)
	}
	if len(r.Requested) != 1 {
		return upstream.Answer{ID: a.ID}, fmt.Errorf("response holds %d requested tokens", len(r.Requested))
	}
	requested := r.Requested[0]
	switch {
	case len(requested.Certificates) == 1 && len(requested.References) == 0:
		return r.issued(a, requested.Certificates[0])
	case len(requested.Certificates) == 0 && len(requested.References) == 1:
		if a.ID == "" {
			return upstream.Answer{}, errors.New("request waits for approval, and the response gives no number to ask for")
		}
		return a, nil
	}
	return upstream.Answer{ID: a.ID}, errors.New("response holds neither one certificate nor one reference")
}

func (r *tokenResponse) issued(a upstream.Answer, token responseToken) (upstream.Answer, error) {
	der, err := token.decode()
	if err != nil {
		return upstream.Answer{ID: a.ID}, err
	}
	if a.Certificate, err = x509.ParseCertificate(der); err != nil {
		return upstream.Answer{ID: a.ID}, fmt.Errorf("parsing certificate of the response: %w", err)
	}
	for _, other := range r.Binary {
		a.Chain = append(a.Chain, other.others(a.Certificate)...)
	}
	return a, nil
}

// decode reads the base64 of a token. CAs break it into lines, and some write the carriage
// return as a reference that was escaped twice.
func (t responseToken) decode() ([]byte, error) {
	text := strings.Join(strings.Fields(strings.ReplaceAll(t.Data, "&#xD;", "")), "")
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decoding token of the response: %w", err)
	}
	return der, nil
}

// others gives the certificates of a CMS message beside cert. A chain that cannot be read
// is left out: the seam builds the chain from certificates that it has.
func (t responseToken) others(cert *x509.Certificate) []*x509.Certificate {
	raw, err := t.decode()
	if err != nil {
		return nil
	}
	return Certificates(raw, cert)
}

// maxChain bounds how many certificates of an answer are kept.
const maxChain = 16

// Certificates reads the certificates of CMS SignedData in DER or BER (RFC 5652), without
// leaf, which may be nil. It gives none when the message cannot be read.
func Certificates(message []byte, leaf *x509.Certificate) []*x509.Certificate {
	parsed, err := pkcs7.Parse(message)
	if err != nil {
		return nil
	}
	var others []*x509.Certificate
	for _, cert := range parsed.Certificates {
		if (leaf == nil || !cert.Equal(leaf)) && len(others) < maxChain {
			others = append(others, cert)
		}
	}
	return others
}
