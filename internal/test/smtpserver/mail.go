package smtpserver

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
)

// Mail is an accepted mail.
type Mail struct {
	From   string // of the envelope
	To     []string
	Hello  string // how the sender called itself
	Secure bool   // came inside TLS
	User   string // who had signed in; empty for a stranger
	Raw    []byte
}

// Message is a parsed mail.
type Message struct {
	Header  mail.Header // without decoding
	Subject string      // decoded
	From    *mail.Address
	To      []*mail.Address
	Text    string
	HTML    string
}

// Read parses a mail with the standard library. It fails the test when the mail is
// malformed, or has parts other than one of text and one of HTML.
func (m Mail) Read(t testing.TB) Message {
	t.Helper()
	l, err := read(m.Raw)
	if err != nil {
		t.Fatalf("reading mail: %v\n%s", err, m.Raw)
	}
	return l
}

func read(raw []byte) (Message, error) {
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, err
	}
	l := Message{Header: parsed.Header}
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		return Message{}, fmt.Errorf("decoding subject: %w", err)
	}
	from, err := parsed.Header.AddressList("From")
	if err != nil || len(from) != 1 {
		return Message{}, fmt.Errorf("%d senders: %w", len(from), err)
	}
	l.From = from[0]
	if l.To, err = parsed.Header.AddressList("To"); err != nil {
		return Message{}, err
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return Message{}, fmt.Errorf("content type %q: %w", kind, err)
	}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	for _, into := range []struct {
		kind string
		text *string
	}{{"text/plain", &l.Text}, {"text/html", &l.HTML}} {
		if *into.text, err = part(parts, into.kind); err != nil {
			return Message{}, err
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return Message{}, fmt.Errorf("more parts than two: %w", err)
	}
	return l, nil
}

func part(parts *multipart.Reader, want string) (string, error) {
	p, err := parts.NextRawPart()
	if err != nil {
		return "", err
	}
	kind, parameters, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if err != nil || kind != want || !strings.EqualFold(parameters["charset"], "utf-8") {
		return "", fmt.Errorf("part %q in %q, want %s in UTF-8: %w", kind, parameters["charset"], want, err)
	}
	body := io.Reader(p)
	if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(p)
	}
	text, err := io.ReadAll(body)
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}
