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

// letterHTML is the frame of all letters. It loads nothing: no picture, no font,
// no style from elsewhere.
//
//go:embed message.html
var messageHTML string

// composer makes messages of letters.
type composer struct {
	words  *messages
	html   *template.Template
	public *url.URL
	c      Config
}

func newComposer(c Config) (*composer, error) {
	words, err := readMessages(templates.Files, c.Location)
	if err != nil {
		return nil, err
	}
	html, err := template.New("letter").Parse(messageHTML)
	if err != nil {
		return nil, fmt.Errorf("parsing the frame of letters: %w", err)
	}
	return &composer{words: words, html: html, public: c.PublicURL, c: c}, nil
}

// sheet is a letter in words, ready to be set as text or HTML.
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

// fact is a line of the list: what, and which.
type row struct{ Label, Value string }

// message makes the mail of a letter.
func (c *composer) mail(l Message, from netmail.Address, now time.Time) (*mail.Msg, error) {
	s, err := c.content(l)
	if err != nil {
		return nil, fmt.Errorf("writing letter %s: %w", l.Kind, err)
	}
	var html bytes.Buffer
	if err := c.html.Execute(&html, s); err != nil {
		return nil, fmt.Errorf("setting letter %s: %w", l.Kind, err)
	}
	if from.Name == "" {
		from.Name = plain(c.c.Org)
	}
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(&from)
	m.ToMailAddress(&netmail.Address{Address: l.To})
	// An encoded word (RFC 2047) that somebody wrote into a name must not be read as
	// one (attack A18).
	m.Subject(strings.ReplaceAll(s.Subject, "=?", "= ?"))
	m.SetDateWithValue(now)
	// The same at each try: a reader's mail program shows the letter once.
	m.SetMessageIDWithValue(l.ID + "@" + from.Address[strings.LastIndexByte(from.Address, '@')+1:])
	// RFC 3834 section 5: nobody's absence is to be answered to a machine. Exchange
	// listens to the second.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")
	m.SetGenHeader("Content-Language", s.Lang)
	m.SetBodyString(mail.TypeTextPlain, s.plainText())
	m.AddAlternativeString(mail.TypeTextHTML, html.String())
	return m, nil
}

// plainText sets a letter as text, in paragraphs.
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
	// "-- " sets a signature apart (RFC 3676 section 4.3).
	add(append([]string{"-- "}, s.Footer...)...)
	return strings.Join(parts, "\n\n") + "\n"
}
