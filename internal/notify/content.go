package notify

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"certportal/internal/escape"
	"certportal/internal/portal"
)

// content renders the parameters of a message as sentences.
func (c *composer) content(l Message) (content, error) {
	w := &translator{composer: c, lang: l.Language, message: l}
	s := content{
		Lang: w.say("lang.tag", nil), Dir: w.say("lang.dir", nil),
		Subject: w.subject(), Greeting: w.greeting(), Text: w.text(), Rows: w.rows(),
	}
	s.LinkText, s.Link = w.link()
	s.After = w.after()
	s.Footer = []string{w.say("mail.footer", values{"Org": c.c.Org})}
	if !l.Kind.toOperators() {
		s.Footer = append(s.Footer, w.say("mail.safe", nil))
	}
	return s, w.err
}

func (k Kind) toOperators() bool {
	return slices.Contains([]Kind{Differing, Stopped, Halted, Tampered, Overused, Test}, k)
}

// translator finds the sentences of one message. It keeps the first error; then the
// message is not sent.
type translator struct {
	*composer
	lang    string
	message Message
	err     error
}

func (w *translator) say(key string, v values) string {
	text, err := w.words.sentence(w.lang, key, v)
	w.err = cmp.Or(w.err, err)
	return text
}

func (w *translator) moment(at time.Time) string {
	text, err := w.words.moment(w.lang, at)
	w.err = cmp.Or(w.err, err)
	return text
}

// key returns the catalogue key of a part of this kind of message.
func (w *translator) key(part string) string { return "mail." + string(w.message.Kind) + "." + part }

func (w *translator) device() string {
	if len(w.message.Params.Devices) == 0 {
		return w.say("mail.device.unnamed", nil)
	}
	return w.message.Params.Devices[0]
}

func (w *translator) subject() string {
	switch f := w.message.Params; w.message.Kind {
	case Issued, Renewed:
		return w.say(w.key("subject"), values{"Device": w.device()})
	case Ending:
		return w.say(w.key("subject"), values{"Device": w.device(), "Count": f.Days})
	case Revoked:
		return w.say(w.key("subject"), values{"Count": max(1, len(f.Devices))})
	case Differing:
		return w.say(w.key("subject"), values{"Count": len(f.People) + f.More})
	case Test:
		return w.say(w.key("subject"), values{"Org": w.c.Org})
	}
	return w.say(w.key("subject"), nil)
}

func (w *translator) greeting() string {
	if name := plain(w.message.Params.Name); name != "" {
		return w.say("mail.hello", values{"Name": name})
	}
	return w.say("mail.hello.unnamed", nil)
}

func (w *translator) text() []string {
	services := w.c.ServicesOpened.In(w.lang)
	if services == "" {
		services = w.say("services", nil)
	}
	switch w.message.Kind {
	case Issued, Ending, Recalled:
		return []string{w.say(w.key("text"), values{"Services": services})}
	case Revoked:
		// Servers fetch a new CRL when the cached one expires.
		return []string{w.say(w.key("text"), values{"Hours": int(w.c.CRLLife.Round(time.Hour) / time.Hour)})}
	}
	text := []string{w.say(w.key("text"), nil)}
	if w.message.Params.Waiting {
		text = append(text, w.say("mail.code.waiting", nil))
	}
	return text
}

// rows lists the details of the message; empty ones are left out.
func (w *translator) rows() []row {
	f := w.message.Params
	var list []row
	add := func(label, value string) {
		if w.message.Kind.toOperators() {
			value = escape.Value(value)
		}
		if value != "" {
			list = append(list, row{w.say("mail.fact."+label, nil), plain(value)})
		}
	}
	add("code", f.Code)
	for _, name := range f.Devices {
		add("device", name)
	}
	for _, p := range f.People {
		add("person", p.UPN+" ("+w.say("mail.change."+knownOrOther(p.Change, changes()), nil)+")")
	}
	if f.More > 0 {
		add("more", w.say("mail.more", values{"Count": f.More}))
	}
	if w.message.Kind == Revoked {
		add("cause", w.say("mail.cause."+knownOrOther(string(f.Cause), causes()), nil))
	}
	if w.message.Kind == Stopped || w.message.Kind == Halted {
		add("cause", f.Change)
	}
	if f.By != "" && !slices.Contains([]Kind{Changed, Privileged, Reassigned, Recalled}, w.message.Kind) && !w.message.Kind.toOperators() {
		add("by", w.say("mail.by."+f.By, nil))
	}
	if !f.At.IsZero() && w.message.Kind != Ending && w.message.Kind != Recalled {
		add("at", w.moment(f.At))
	}
	if !f.Until.IsZero() {
		add("until", w.moment(f.Until))
	}
	return list
}

// causes are those with a sentence of their own; others use "other".
func causes() []string {
	return []string{
		string(portal.Removed), string(portal.Lost), string(portal.Retired), string(portal.Returned),
		string(portal.Reused), string(portal.Privileged), string(portal.ByAuthority),
	}
}

func changes() []string {
	return []string{
		string(portal.AccountGone), string(portal.AccountDisabled), string(portal.AccountExpired),
		string(portal.BecameProtected), string(portal.SIDChanged), string(portal.UPNChanged), string(portal.UPNReused),
		string(portal.AccountUnread),
	}
}

// knownOrOther returns the word if the catalogues have it, else "other", so that a new
// value does not prevent a message.
func knownOrOther(word string, words []string) string {
	if slices.Contains(words, word) {
		return word
	}
	return "other"
}

// link returns the one link of the message. It contains no token: the recipient has to
// sign in.
func (w *translator) link() (text, address string) {
	at := func(path ...string) string { return w.public.JoinPath(path...).String() }
	switch {
	case w.message.Kind == Test:
		return "", ""
	case w.message.Kind.toOperators():
		return w.say("mail.link.admin", nil), at("admin")
	case w.message.Kind == Invited, w.message.Kind == Code:
		return w.say("mail.link.pickup", nil), at("pickup")
	case (w.message.Kind == Ending || w.message.Kind == Recalled) && w.message.Params.Device != "":
		return w.say("mail.link.renew", nil), at("devices", url.PathEscape(string(w.message.Params.Device)))
	case w.message.Params.Device != "":
		return w.say("mail.link.device", nil), at("devices", url.PathEscape(string(w.message.Params.Device)))
	}
	return w.say("mail.link.home", nil), at("/")
}

// after returns what to do when the recipient did not cause the event.
func (w *translator) after() []string {
	if w.message.Kind.toOperators() || slices.Contains([]Kind{Ending, Changed, Privileged, Reassigned, Recalled}, w.message.Kind) {
		return w.contact("mail.help")
	}
	return w.contact("mail.notyou")
}

// contact returns the configured way to reach the helpdesk.
func (w *translator) contact(key string) []string {
	if w.message.Kind.toOperators() {
		return nil
	}
	hours := w.c.HelpdeskHours.In(w.lang)
	if hours != "" {
		hours = " (" + hours + ")"
	}
	switch {
	case w.c.HelpdeskPhone != "":
		return []string{w.say(key+".phone", values{"Phone": w.c.HelpdeskPhone + hours})}
	case w.c.HelpdeskMail != "":
		return []string{w.say(key+".mail", values{"Mail": w.c.HelpdeskMail})}
	}
	return []string{w.say(key, nil)}
}
