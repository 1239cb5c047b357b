// Package notify sends mail about events of the audit log: to people when a certificate
// is issued, renewed, revoked or about to expire, when a pickup code is made and when
// their directory names change; to operators when certificates and directory differ,
// the drift watch or issuing stops, or the audit log does not verify.
//
// Nothing waits for a mail. Acts write audit entries only. The collector reads new
// entries and adds messages to the outbox in the transaction that moves its cursor, so
// that each message is written once however many replicas run. The sender delivers them
// at least once: while the server does not answer, all messages wait; a permanent
// rejection ends that message; a temporary one is retried up to eight times within a
// day.
//
// A message goes to the address that the directory has when the message is written;
// people whose account ended get none. It contains no code, password or token, and one
// link, which requires signing in. A pickup code that no staff may see is sent at once,
// without the outbox ([Notifier.SendCode]). Names chosen by people cannot break a header, a line
// or the HTML around them.
//
// The package does not send without TLS unless configured to, and never sends a
// password without TLS. It follows RFC 5321 (SMTP), RFC 5322 (messages), RFC 3207
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
	// DefaultEvery is how often collector and sender look for work.
	DefaultEvery = 5 * time.Second

	// GiveUpAfter is the age at which a message is dropped instead of sent. RFC 5321
	// section 4.5.4.1 has senders try for four to five days. Events that are older when
	// the collector reads them get no message.
	GiveUpAfter = 5 * 24 * time.Hour

	// KeepClosedFor is how long a message's key is kept after the message was sent or
	// given up, so that no reminder is sent twice.
	KeepClosedFor = 30 * 24 * time.Hour

	// maxWaiting bounds the messages that wait in the outbox. Above it, events wait in
	// the audit log.
	maxWaiting = 10_000
)

// Config configures a [Notifier]. Fields are required unless they say otherwise.
type Config struct {
	Store     Store
	Directory Directory
	Server    *Server

	// Org is the company's name. The others are optional texts: how to reach the
	// helpdesk, and what certificates give access to.
	Org                           string
	HelpdeskPhone, HelpdeskMail   string
	HelpdeskHours, ServicesOpened catalogue.Text

	// PublicURL is the https origin of the portal; every link begins with it.
	PublicURL *url.URL

	// Operators are the mail addresses of the portal's operators. Optional.
	Operators []string

	// Language is used for operators and for people whose language is unknown. Default
	// "en".
	Language string

	// CRLLife is how long clients may use a cached CRL. Default crl.DefaultLife.
	CRLLife time.Duration

	// RecallsPerHour is how many people are asked within an hour to replace their
	// certificates after an issuing CA was revoked. Default DefaultRecallsPerHour.
	RecallsPerHour int

	// Issues reports whether certificates can be issued here. Optional.
	Issues func() bool

	Location *time.Location // zone of times in messages; default time.Local
	Every    time.Duration  // default DefaultEvery

	// Claim is how long a sender that died keeps its messages from others. Default 30
	// seconds.
	Claim time.Duration

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Notifier writes messages and sends them. It is safe for concurrent use, and several
// replicas may work on one store.
type Notifier struct {
	c        Config
	composer *composer
	health   health

	mu           sync.Mutex
	backOffUntil time.Time // no connection before this time
	failures     int       // consecutive connections without a usable answer
}

// New checks the configuration and reads the catalogues. It sends nothing.
func New(c Config) (*Notifier, error) {
	switch {
	case c.Store == nil, c.Directory == nil, c.Server == nil:
		return nil, errors.New("mail: a required part is missing")
	case c.RecallsPerHour < 0:
		return nil, fmt.Errorf("mail: %d people in an hour", c.RecallsPerHour)
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
	if c.RecallsPerHour == 0 {
		c.RecallsPerHour = DefaultRecallsPerHour
	}
	if c.Issues == nil {
		c.Issues = func() bool { return true }
	}
	if c.Location == nil {
		c.Location = time.Local
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Claim <= 0 {
		c.Claim = defaultClaim
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// languageOr returns the language if there is a catalogue for it, else the configured
// one.
func (n *Notifier) languageOr(known string) string {
	if slices.Contains(catalogue.Languages(), known) {
		return known
	}
	return n.c.Language
}
