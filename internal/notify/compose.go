package notify

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"

	"certportal/templates"
)

// messageHTML is the layout of all messages. It loads nothing: no image, font or
// stylesheet.
//
//go:embed message.html
var messageHTML string

// composer renders messages as mail.
type composer struct {
	words  *sentences
	html   *template.Template
	public *url.URL
	c      Config
}

func newComposer(c Config) (*composer, error) {
	words, err := readSentences(templates.Files, c.Location)
	if err != nil {
		return nil, err
	}
	html, err := template.New("message").Parse(messageHTML)
	if err != nil {
		return nil, fmt.Errorf("parsing layout of messages: %w", err)
	}
	return &composer{words: words, html: html, public: c.PublicURL, c: c}, nil
}

// content is a message in sentences, ready to be rendered as text or HTML.
type content struct {
	Lang, Dir string
	Subject   string
	Greeting  string
	Text      []string
	Rows      []row
	LinkText  string
	Link      string // the only one
	After     []string
	Footer    []string
}

// row is a line of the list of details.
type row struct{ Label, Value string }

// mail renders a message as text and HTML.
func (c *composer) mail(l Message, from netmail.Address, now time.Time) (*mail.Msg, error) {
	s, err := c.content(l)
	if err != nil {
		return nil, fmt.Errorf("composing message %s: %w", l.Kind, err)
	}
	var html bytes.Buffer
	if err := c.html.Execute(&html, s); err != nil {
		return nil, fmt.Errorf("rendering message %s: %w", l.Kind, err)
	}
	if from.Name == "" {
		from.Name = plain(c.c.Org)
	}
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(&from)
	m.ToMailAddress(&netmail.Address{Address: l.To})
	// A name may contain what looks like an encoded word (RFC 2047); mail programs must
	// not decode it (attack A18).
	m.Subject(strings.ReplaceAll(s.Subject, "=?", "= ?"))
	m.SetDateWithValue(now)
	// The same for each attempt: mail programs show duplicates once.
	m.SetMessageIDWithValue(l.ID + "@" + from.Address[strings.LastIndexByte(from.Address, '@')+1:])
	// RFC 3834 section 5: asks for no automatic replies. Exchange obeys the second
	// header.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")
	m.SetGenHeader("Content-Language", s.Lang)
	m.SetBodyString(mail.TypeTextPlain, s.plainText())
	m.AddAlternativeString(mail.TypeTextHTML, html.String())
	return m, nil
}

// plainText renders the content as plain text, in paragraphs.
func (s content) plainText() string {
	var parts []string
	add := func(lines ...string) { parts = append(parts, strings.Join(lines, "\n")) }
	add(s.Greeting)
	for _, t := range s.Text {
		add(t)
	}
	var list []string
	for _, f := range s.Rows {
		list = append(list, f.Label+": "+f.Value)
	}
	if len(list) > 0 {
		add(list...)
	}
	if s.Link != "" {
		add(s.LinkText+":", s.Link)
	}
	for _, t := range s.After {
		add(t)
	}
	// "-- " starts a signature (RFC 3676 section 4.3).
	add(append([]string{"-- "}, s.Footer...)...)
	return strings.Join(parts, "\n\n") + "\n"
}
