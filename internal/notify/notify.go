// Package notify tells people by mail what happened in their name: a certificate
// made, renewed or revoked, a pickup code, an end that comes near, a name that
// changed; and it tells operators when the directory and the certificates part.
//
// Nothing that happens waits for a mail. Acts write ledger entries, as they
// always do; a clerk reads the ledger from where it stopped and writes letters in
// the transaction that moves its place, so that each is written once, however
// many replicas there are. A postman sends them, at least once each: a server that
// does not answer delays all letters, one that refuses an address ends that
// letter, and one that says "later" gets eight tries within a day.
//
// A letter goes to the address that the directory gives at the time of writing;
// whoever has left gets none. It holds no secret: no code, no password, no token,
// and one link, which opens nothing without signing in. Names that people chose
// can neither break a header nor a line nor the HTML around them.
//
// The package refuses to send without TLS unless it is told to, and never sends a
// password without. It follows RFC 5321 (SMTP), RFC 5322 (messages), RFC 3207
// (STARTTLS), RFC 4954 (AUTH) and RFC 3834 (automatic mail).
package notify

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"certportal/ca/crl"
	"certportal/internal/catalogue"
)

const (
	// DefaultEvery is how often clerk and postman look for work.
	DefaultEvery = 5 * time.Second

	// GiveUpAfter is how long a letter may be late. RFC 5321 section 4.5.4.1 has
	// senders try for four to five days. What is older when it is noticed is no
	// news.
	GiveUpAfter = 5 * 24 * time.Hour

	// KeepClosed is how long a letter's key is remembered after it was sent or
	// given up: long enough that no reminder comes twice.
	KeepClosedFor = 30 * 24 * time.Hour

	// maxWaiting bounds the letters that wait for sending. Beyond it the ledger
	// itself is the queue.
	maxWaiting = 10_000
)

// Config is what an office works with. Fields are required unless they say
// otherwise.
type Config struct {
	Store     Store
	Directory Directory
	Server    *Server

	// Org is the company's name. Optional pieces of what people are told: how the
	// helpdesk is reached, and what certificates open.
	Org                           string
	HelpdeskPhone, HelpdeskMail   string
	HelpdeskHours, ServicesOpened string

	// PublicURL is the https origin of the portal, the beginning of every link.
	PublicURL *url.URL

	// Operators are the addresses of those who look after the portal. Optional.
	Operators []string

	// Language is that of operators, and of people who never read a page. Default
	// "en".
	Language string

	// ListLife is how long whoever holds a revocation list may go by it. Default
	// revocation.DefaultLife.
	CRLLife time.Duration

	Location *time.Location // zone of the times told; default time.Local
	Every    time.Duration  // default DefaultEvery

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Office writes letters and sends them. It is safe for concurrent use, and several
// may work on one outbox.
type Notifier struct {
	c        Config
	composer *composer
	health   health

	mu           sync.Mutex
	backOffUntil time.Time // the server is not asked before
	failures     int       // connections in a row that came to nothing
}

// New checks the configuration and reads the catalogues. Nothing is sent before
// Run, Deliver or SendTest.
func New(c Config) (*Notifier, error) {
	switch {
	case c.Store == nil, c.Directory == nil, c.Server == nil:
		return nil, errors.New("mail: a required part is missing")
	case c.PublicURL == nil || c.PublicURL.Scheme != "https":
		return nil, fmt.Errorf("mail: public address %v is not an https address", c.PublicURL)
	}
	for _, address := range c.Operators {
		if !Deliverable(address) {
			return nil, fmt.Errorf("mail: operator %q has no usable address", address)
		}
	}
	c = c.withDefaults()
	composer, err := newComposer(c)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(catalogue.Languages(), c.Language) {
		return nil, fmt.Errorf("mail: language %q is not one of %v", c.Language, catalogue.Languages())
	}
	return &Notifier{c: c, composer: composer, health: health{log: c.Log}}, nil
}

func (c Config) withDefaults() Config {
	if c.Language == "" {
		c.Language = catalogue.English
	}
	if c.CRLLife == 0 {
		c.CRLLife = crl.DefaultLife
	}
	if c.Location == nil {
		c.Location = time.Local
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// language is the one somebody reads, or the one for those of whom none is known.
func (o *Notifier) languageOr(known string) string {
	if slices.Contains(catalogue.Languages(), known) {
		return known
	}
	return o.c.Language
}
