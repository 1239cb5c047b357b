package notify

import (
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// maxNamed bounds the people that a letter to operators names.
const maxNamed = 20

// draft makes the letters that entries of the ledger ask for, without what only
// the directory knows. What one act did to several devices is one letter; what
// operators learn from all the entries is one letter of a kind.
func (o *Notifier) draft(found []Event) (personal, general []Message) {
	stale := o.c.Now().Add(-GiveUpAfter)
	book := draftSet{notifier: o, acts: make(map[actKey]int), topics: make(map[string]int)}
	skipped := 0
	for _, h := range found {
		kind, ok := kindOf(h)
		if !ok {
			continue
		}
		if h.At.Before(stale) {
			skipped++
			continue
		}
		book.add(kind, h)
	}
	if skipped > 0 {
		o.c.Log.Warn("no letters about what happened too long ago", "entries", skipped, "before", stale)
	}
	return book.personal, book.operator
}

// act is what makes entries belong to one letter.
type actKey struct {
	kind    Kind
	person  string
	request string
	at      time.Time
}

// drafts are the letters of a batch of entries, and where each stands.
type draftSet struct {
	notifier           *Notifier
	personal, operator []Message
	acts               map[actKey]int
	topics             map[string]int // by what they are about
}

func (d *draftSet) add(kind Kind, h Event) {
	if kind.toOperators() {
		d.addOperator(kind, h)
		return
	}
	if kind == Changed {
		d.addOperator(Differing, h)
		// Whose account ended gets no mail any more.
		if drift.Revokes(portal.Change(h.Detail["change"])) {
			return
		}
	}
	if h.Person == "" {
		return
	}
	key := actKey{kind, h.Person, h.Request, h.At}
	n, known := d.acts[key]
	if !known {
		n = len(d.personal)
		d.acts[key] = n
		d.personal = append(d.personal, d.notifier.messageTo(kind, h))
	}
	facts := &d.personal[n].Params
	if h.DeviceName != "" && !contains(facts.Devices, h.DeviceName) {
		facts.Devices = append(facts.Devices, h.DeviceName)
	}
	if h.Device != facts.Device {
		facts.Device = "" // several: the letter leads to all
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// about begins the letter to the person of an entry.
func (o *Notifier) messageTo(kind Kind, h Event) Message {
	l := o.newMessage(kind, fmt.Sprintf("entry:%d", h.Seq))
	l.Person, l.Language = portal.PersonID(h.Person), o.languageOr(h.Language)
	l.Params = Params{At: h.At, Device: h.Device, By: actorWord(h.Entry)}
	switch kind {
	case Issued, Renewed:
		l.Params.Until = h.NotAfter
	case Revoked:
		l.Params.Cause = portal.Cause(h.Detail["cause"])
	case Changed:
		l.Params.Change = h.Detail["change"]
	case Invited:
		// What is not a time is left out; the page tells it too.
		l.Params.Until, _ = time.Parse(time.RFC3339, h.Detail["expires"])
	}
	return l
}

// operators adds an entry to the letter of its kind to operators. Addresses are
// filled in later.
func (d *draftSet) addOperator(kind Kind, h Event) {
	news, key := string(kind), fmt.Sprintf("entry:%d", h.Seq)
	if kind == Overused {
		// Who goes on trying is told of once an hour.
		news = fmt.Sprintf("%s:%s:%s", kind, h.Actor, h.At.UTC().Format("2006010215"))
		key = news
	}
	n, known := d.topics[news]
	if !known {
		n = len(d.operator)
		d.topics[news] = n
		l := d.notifier.newMessage(kind, key)
		l.Language, l.Params.At = d.notifier.c.Language, h.At
		d.operator = append(d.operator, l)
	}
	facts := &d.operator[n].Params
	if kind != Differing {
		facts.Change = h.Detail["reason"] // the latest counts
		return
	}
	difference := Mismatch{UPN: h.Detail["upn"], Change: h.Detail["change"]}
	for _, p := range facts.People {
		if p == difference {
			return // another certificate of the same person
		}
	}
	if len(facts.People) == maxNamed {
		facts.More++
		return
	}
	facts.People = append(facts.People, difference)
}

// subject says what the letter about an entry is about; false for most entries.
func kindOf(h Event) (Kind, bool) {
	switch h.Action {
	case audit.CertificateIssued:
		if h.Renewal {
			return Renewed, true
		}
		return Issued, true
	case audit.CertificateRevoked:
		byStaff := actorWord(h.Entry) != bySelf && actorWord(h.Entry) != bySystem
		return Revoked, byStaff || !needsNoMail(portal.Cause(h.Detail["cause"]))
	case audit.MismatchFound:
		return Changed, true
	case audit.InvitationMade:
		// One that waits for a second approver opens nothing yet.
		return Invited, h.Detail["state"] != string(signin.InvitationWaiting)
	case audit.InvitationApproved:
		return Invited, true
	case audit.WatchStopped:
		return Stopped, true
	case audit.IssuingHalted:
		return Halted, true
	case audit.LogBroken:
		return Tampered, true
	case audit.InvitationPaused:
		return Overused, true
	}
	return "", false
}

// silent are the causes that no letter tells of, unless staff chose them: the portal
// clearing up after itself, and a newer certificate, of which another letter told.
// Who left gets no mail.
func needsNoMail(c portal.Cause) bool {
	switch c {
	case portal.Abandoned, portal.Undelivered, portal.Replaced, portal.Left:
		return true
	}
	return false
}

// Who did it, as a letter tells it.
const (
	bySelf   = "self"
	bySystem = "system"
)

// doer says in which role somebody else acted, or that the person did.
func actorWord(e audit.Entry) string {
	if e.Actor == e.Person {
		return bySelf
	}
	switch role := portal.Role(e.Role); role {
	case portal.Helpdesk, portal.Admin:
		return e.Role
	}
	return bySystem
}
