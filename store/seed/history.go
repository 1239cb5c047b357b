package seed

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// age is how long the made-up installation has been running, and validity how
// long its certificates live.
const (
	age      = 2 * 365 * 24 * time.Hour
	validity = 365 * 24 * time.Hour
)

// history is what happened in a made-up installation, in the order of time.
type history struct {
	now          time.Time
	certificates []certificate
	events       []event
	template     func(int) (Template, error)
	templates    map[int]Template
}

// event is a certificate being issued, or revoked.
type event struct {
	at          int64
	certificate int32
	revoked     bool
}

type certificate struct {
	number        [17]byte
	person        int32
	device        uint8 // of the person
	firstOfPerson bool
	firstOfDevice bool
	superseded    bool
	requested     time.Time
	revokedAt     time.Time
	cause         portal.Cause
}

func (c *certificate) serial() string { return hex.EncodeToString(c.number[:]) }

func (c *certificate) end() time.Time { return c.requested.Add(validity) }

func (c *certificate) deviceID() string { return fmt.Sprintf("seed%d-%d", c.person, c.device) }

func (c *certificate) platform() portal.Platform {
	return portal.Platforms()[(int(c.person)+int(c.device))%len(portal.Platforms())]
}

// newHistory makes up who got what and when. People have one to three devices, a
// device one to three certificates, one after the other.
func newHistory(s Config) *history {
	h := &history{now: s.Now.UTC().Truncate(time.Second), template: s.Template, templates: make(map[int]Template)}
	r := rand.New(rand.NewPCG(1, uint64(s.Certificates)))
	for person := int32(0); len(h.certificates) < s.Certificates; person++ {
		first := len(h.certificates)
		for device := range uint8(1 + r.IntN(3)) {
			h.device(r, person, device)
		}
		h.certificates = h.certificates[:min(len(h.certificates), s.Certificates)]
		h.markFirst(first)
	}
	h.order()
	return h
}

// device makes up the certificates of one device.
func (h *history) device(r *rand.Rand, person int32, device uint8) {
	count := 1 + r.IntN(3)
	at := h.now.Add(-time.Duration(r.Int64N(int64(age))))
	for i := range count {
		c := certificate{number: serialNumber(r), person: person, device: device, requested: at.Truncate(time.Second)}
		last := i == count-1
		next := at.Add(time.Duration(r.Int64N(int64(validity))))
		switch {
		case !last && next.Before(h.now):
			c.revokedAt, c.cause = next.Truncate(time.Second), portal.Replaced
		case last && r.IntN(25) == 0 && next.Before(h.now):
			c.revokedAt, c.cause = next.Truncate(time.Second), portal.Lost
		case last && r.IntN(50) == 0:
			c.superseded = c.end().After(h.now.Add(96 * time.Hour))
		}
		h.certificates = append(h.certificates, c)
		if !next.Before(h.now) {
			return
		}
		at = next
	}
}

// markFirst finds which certificate brings a person, and each device, for the first
// time.
func (h *history) markFirst(from int) {
	mine := h.certificates[from:]
	if len(mine) == 0 {
		return
	}
	devices := map[uint8]int{}
	first := 0
	for i, c := range mine {
		if c.requested.Before(mine[first].requested) {
			first = i
		}
		if known, seen := devices[c.device]; !seen || c.requested.Before(mine[known].requested) {
			devices[c.device] = i
		}
	}
	mine[first].firstOfPerson = true
	for _, i := range devices {
		mine[i].firstOfDevice = true
	}
}

// order brings what happened into the order of time.
func (h *history) order() {
	for i, c := range h.certificates {
		h.events = append(h.events, event{at: c.requested.UnixMilli(), certificate: int32(i)})
		if !c.revokedAt.IsZero() {
			h.events = append(h.events, event{at: c.revokedAt.UnixMilli(), certificate: int32(i), revoked: true})
		}
	}
	slices.SortStableFunc(h.events, func(a, b event) int { return int(a.at - b.at) })
}

// personData is a made-up person.
type personData struct{ id, name, upn, sid string }

// person makes up the same person for the same number.
func (h *history) person(n int32) personData {
	given, family := givenNames(), familyNames()
	g, f := given[int(n)%len(given)], family[(int(n)*37+int(n)/len(given))%len(family)]
	return personData{
		id:   fmt.Sprintf("seed%d", n),
		name: g + " " + f,
		upn:  fmt.Sprintf("%s.%s.%d@seed.example", accountName(g), accountName(f), n),
		sid:  fmt.Sprintf("S-1-5-21-1000000000-2000000000-3000000000-%07d", 1_000_000+n),
	}
}

func (h *history) deviceName(c *certificate) string {
	given := givenNames()
	owner := given[int(c.person)%len(given)]
	thing := map[portal.Platform]string{
		portal.IOS: "iPhone", portal.Android: "Android phone", portal.Windows: "PC", portal.MacOS: "MacBook", portal.Linux: "Workstation",
	}[c.platform()]
	return fmt.Sprintf("%s’s %s %d", owner, thing, c.device+1)
}

func (h *history) entry(c *certificate, at time.Time, action audit.Action) audit.Entry {
	id := fmt.Sprintf("seed%d", c.person)
	return audit.Entry{
		At: at, Action: action, Actor: id, Role: string(portal.Employee), Person: id, Object: c.serial(),
		Address: "192.0.2.1", Request: "seed",
	}
}

func (h *history) reservedEntry(c *certificate, p personData) audit.Entry {
	e := h.entry(c, c.requested, audit.CertificateReserved)
	e.Detail = map[string]string{
		"device": c.deviceID(), "name": h.deviceName(c), "platform": string(c.platform()), "profile": "User",
		"upn": p.upn, "sid": p.sid,
	}
	return e
}

func (h *history) issuedEntry(c *certificate, p personData) audit.Entry {
	e := h.entry(c, c.requested, audit.CertificateIssued)
	e.Detail = map[string]string{"not-after": c.end().UTC().Format(time.RFC3339), "device": c.deviceID(), "upn": p.upn}
	return e
}

func (h *history) revokedEntry(c *certificate) audit.Entry {
	e := h.entry(c, c.revokedAt, audit.CertificateRevoked)
	e.Detail = map[string]string{"cause": string(c.cause), "upn": h.person(c.person).upn, "device": c.deviceID()}
	return e
}

// accountName writes a name as an account name.
func accountName(s string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ö", "oe", "ß", "ss", "é", "e", "ç", "c", "ł", "l", "’", "", " ", "").
		Replace(strings.ToLower(s))
}

func givenNames() []string {
	return strings.Fields(`Anna Ben Clara David Emma Felix Greta Hannes Ida Jonas Klara Lukas Mia Noah Olga Paul Quirin Rosa
		Samuel Tina Ulrich Vera Walter Xenia Yusuf Zoé Jörg Käthe Łukasz François Wei Li Ming Priya Arjun Fatima Omar Sofia
		Diego Chiara Luca Ingrid Sven Aisha Kwame Yuki Hiroshi Nadia Ivan Petra`)
}

func familyNames() []string {
	return strings.Fields(`Schmidt Müller Weber Wagner Becker Schulz Hoffmann Koch Bauer Richter Klein Wolf Schröder Neumann
		Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Werner Krause Lehmann Köhler Maier Fuchs Weiß Jung Hahn
		O’Brien Smith Johnson Garcia Rossi Bianchi Novak Kowalski Nguyen Tanaka Suzuki Wang Zhang Chen Singh Patel Khan
		Hassan Ibrahim Okafor Mensah Petrov Ivanova Larsen Hansen Berg Lindqvist Virtanen Dubois Moreau Silva Santos Öztürk`)
}
