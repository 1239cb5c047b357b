package notify

import (
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// maxNamed bounds the people that one message to operators names.
const maxNamed = 20

// draft turns events into messages, without what only the directory knows. Several
// devices in one act become one message; events for operators become one message per
// kind.
func (n *Notifier) draft(found []Event) (personal, operator []Message) {
	stale := n.c.Now().Add(-GiveUpAfter)
	set := draftSet{notifier: n, acts: make(map[actKey]int), topics: make(map[string]int)}
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
		set.add(kind, h)
	}
	if skipped > 0 {
		n.c.Log.Warn("skipping events that happened too long ago", "entries", skipped, "before", stale)
	}
	return set.personal, set.operator
}

// actKey identifies entries that share one message.
type actKey struct {
	kind    Kind
	person  string
	request string
	at      time.Time
}

// draftSet collects the messages of a batch of events.
type draftSet struct {
	notifier           *Notifier
	personal, operator []Message
	acts               map[actKey]int
	topics             map[string]int // index into operator
}

func (d *draftSet) add(kind Kind, h Event) {
	if kind.toOperators() {
		d.addOperator(kind, h)
		return
	}
	if kind == Changed || kind == Reassigned {
		d.addOperator(Differing, h)
	}
	if kind == Changed {
		var send bool
		if kind, send = changedKind(h); !send {
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
	params := &d.personal[n].Params
	if h.DeviceName != "" && !contains(params.Devices, h.DeviceName) {
		params.Devices = append(params.Devices, h.DeviceName)
	}
	if h.Device != params.Device {
		params.Device = "" // several devices: link to the list
	}
}

// changedKind returns the kind of message to a person whose account changed. People whose
// account ended or cannot be read get none, nor do those who became protected and keep
// their certificates.
func changedKind(h Event) (Kind, bool) {
	change := portal.Change(h.Detail["change"])
	if change == portal.BecameProtected {
		return Privileged, h.Detail["keeps"] == ""
	}
	return Changed, change.Outdates()
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// messageTo starts the message to the person of an event.
func (n *Notifier) messageTo(kind Kind, h Event) Message {
	l := n.newMessage(kind, fmt.Sprintf("entry:%d", h.Seq))
	l.Person, l.Language = portal.PersonID(h.Person), n.languageOr(h.Language)
	l.Params = Params{At: h.At, Device: h.Device, By: actorWord(h.Entry)}
	switch kind {
	case Issued, Renewed:
		l.Params.Until = h.NotAfter
	case Revoked:
		l.Params.Cause = portal.Cause(h.Detail["cause"])
	case Changed:
		l.Params.Change = h.Detail["change"]
	case Invited:
		// An invalid time is left out; the page shows it too.
		l.Params.Until, _ = time.Parse(time.RFC3339, h.Detail["expires"])
	}
	return l
}

// addOperator adds an event to the message of its kind to operators. Addresses are
// filled in later.
func (d *draftSet) addOperator(kind Kind, h Event) {
	topic, key := string(kind), fmt.Sprintf("entry:%d", h.Seq)
	if kind == Overused {
		// Further attempts of the same actor are reported once per hour.
		topic = fmt.Sprintf("%s:%s:%s", kind, h.Actor, h.At.UTC().Format("2006010215"))
		key = topic
	}
	n, known := d.topics[topic]
	if !known {
		n = len(d.operator)
		d.topics[topic] = n
		l := d.notifier.newMessage(kind, key)
		l.Language, l.Params.At = d.notifier.c.Language, h.At
		d.operator = append(d.operator, l)
	}
	params := &d.operator[n].Params
	if kind != Differing {
		params.Change = h.Detail["reason"] // the latest reason
		return
	}
	difference := Mismatch{UPN: h.Detail["upn"], Change: h.Detail["change"]}
	for _, p := range params.People {
		if p == difference {
			return // another certificate of the same person
		}
	}
	if len(params.People) == maxNamed {
		params.More++
		return
	}
	params.People = append(params.People, difference)
}

// kindOf returns the kind of message about an event; false for most events.
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
	case audit.UPNReused:
		return Reassigned, true
	case audit.InvitationMade:
		// A waiting code is not valid yet.
		// One that was mailed had its message, and waits for no other.
		return Invited, h.Detail["state"] != string(signin.InvitationWaiting) && h.Detail["code"] != signin.CodeMailed
	case audit.InvitationApproved:
		return Invited, h.Detail["code"] != signin.CodeMailed
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

// needsNoMail reports causes without a message, unless staff chose them: cleanup by the
// portal, a newer certificate that has its own message, and people who left and get no
// mail.
func needsNoMail(c portal.Cause) bool {
	switch c {
	case portal.Abandoned, portal.Undelivered, portal.Replaced, portal.Left:
		return true
	}
	return false
}

// The acting roles in messages.
const (
	bySelf   = "self"
	bySystem = "system"
)

// actorWord returns who acted: the person, a staff role or the portal.
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
