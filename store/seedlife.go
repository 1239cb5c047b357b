package store

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

// seedYears is how long the made-up installation has been running, and seedValid how
// long its certificates live.
const (
	seedAge   = 2 * 365 * 24 * time.Hour
	seedValid = 365 * 24 * time.Hour
)

// seedLife is what happened in a made-up installation, in the order of time.
type seedLife struct {
	now          time.Time
	certificates []seedCertificate
	events       []seedEvent
	written      int
	body         func(int) (Body, error)
	bodies       map[int]Body
}

// seedEvent is a certificate being issued, or revoked.
type seedEvent struct {
	at          int64
	certificate int32
	revoked     bool
}

type seedCertificate struct {
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

func (c *seedCertificate) serial() string { return hex.EncodeToString(c.number[:]) }

func (c *seedCertificate) end() time.Time { return c.requested.Add(seedValid) }

func (c *seedCertificate) deviceID() string { return fmt.Sprintf("seed%d-%d", c.person, c.device) }

func (c *seedCertificate) platform() portal.Platform {
	return portal.Platforms()[(int(c.person)+int(c.device))%len(portal.Platforms())]
}

// newSeedLife makes up who got what and when. People have one to three devices, a
// device one to three certificates, one after the other.
func newSeedLife(s Seeding) *seedLife {
	l := &seedLife{now: s.Now.UTC().Truncate(time.Second), body: s.Body, bodies: make(map[int]Body)}
	r := rand.New(rand.NewPCG(1, uint64(s.Certificates)))
	for person := int32(0); len(l.certificates) < s.Certificates; person++ {
		first := len(l.certificates)
		for device := range uint8(1 + r.IntN(3)) {
			l.device(r, person, device)
		}
		l.certificates = l.certificates[:min(len(l.certificates), s.Certificates)]
		l.markFirst(first)
	}
	l.order()
	return l
}

// device makes up the certificates of one device.
func (l *seedLife) device(r *rand.Rand, person int32, device uint8) {
	count := 1 + r.IntN(3)
	at := l.now.Add(-time.Duration(r.Int64N(int64(seedAge))))
	for i := range count {
		c := seedCertificate{number: seedNumber(r), person: person, device: device, requested: at.Truncate(time.Second)}
		last := i == count-1
		next := at.Add(time.Duration(r.Int64N(int64(seedValid))))
		switch {
		case !last && next.Before(l.now):
			c.revokedAt, c.cause = next.Truncate(time.Second), portal.Replaced
		case last && r.IntN(25) == 0 && next.Before(l.now):
			c.revokedAt, c.cause = next.Truncate(time.Second), portal.Lost
		case last && r.IntN(50) == 0:
			c.superseded = c.end().After(l.now.Add(96 * time.Hour))
		}
		l.certificates = append(l.certificates, c)
		if !next.Before(l.now) {
			return
		}
		at = next
	}
}

// markFirst finds which certificate brings a person, and each device, for the first
// time.
func (l *seedLife) markFirst(from int) {
	mine := l.certificates[from:]
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
func (l *seedLife) order() {
	for i, c := range l.certificates {
		l.events = append(l.events, seedEvent{at: c.requested.UnixMilli(), certificate: int32(i)})
		if !c.revokedAt.IsZero() {
			l.events = append(l.events, seedEvent{at: c.revokedAt.UnixMilli(), certificate: int32(i), revoked: true})
		}
	}
	slices.SortStableFunc(l.events, func(a, b seedEvent) int { return int(a.at - b.at) })
}

// seedPerson is somebody made up.
type seedPerson struct{ id, name, upn, sid string }

// person makes up the same person for the same number.
func (l *seedLife) person(n int32) seedPerson {
	given, family := seedGiven(), seedFamily()
	g, f := given[int(n)%len(given)], family[(int(n)*37+int(n)/len(given))%len(family)]
	return seedPerson{
		id:   fmt.Sprintf("seed%d", n),
		name: g + " " + f,
		upn:  fmt.Sprintf("%s.%s.%d@seed.example", seedASCII(g), seedASCII(f), n),
		sid:  fmt.Sprintf("S-1-5-21-1000000000-2000000000-3000000000-%07d", 1_000_000+n),
	}
}

func (l *seedLife) deviceName(c *seedCertificate) string {
	given := seedGiven()
	owner := given[int(c.person)%len(given)]
	thing := map[portal.Platform]string{
		portal.IOS: "iPhone", portal.Android: "Android phone", portal.Windows: "PC", portal.MacOS: "MacBook", portal.Linux: "Workstation",
	}[c.platform()]
	return fmt.Sprintf("%s’s %s %d", owner, thing, c.device+1)
}

func (l *seedLife) entry(c *seedCertificate, at time.Time, action audit.Action) audit.Entry {
	id := fmt.Sprintf("seed%d", c.person)
	return audit.Entry{
		At: at, Action: action, Actor: id, Role: string(portal.Employee), Person: id, Object: c.serial(),
		Address: "192.0.2.1", Request: "seed",
	}
}

func (l *seedLife) reservedEntry(c *seedCertificate, p seedPerson) audit.Entry {
	e := l.entry(c, c.requested, audit.CertificateReserved)
	e.Detail = map[string]string{
		"device": c.deviceID(), "name": l.deviceName(c), "platform": string(c.platform()), "profile": "User",
		"upn": p.upn, "sid": p.sid,
	}
	return e
}

func (l *seedLife) issuedEntry(c *seedCertificate, p seedPerson) audit.Entry {
	e := l.entry(c, c.requested, audit.CertificateIssued)
	e.Detail = map[string]string{"not-after": c.end().UTC().Format(time.RFC3339), "device": c.deviceID(), "upn": p.upn}
	return e
}

func (l *seedLife) revokedEntry(c *seedCertificate) audit.Entry {
	e := l.entry(c, c.revokedAt, audit.CertificateRevoked)
	e.Detail = map[string]string{"cause": string(c.cause), "upn": l.person(c.person).upn, "device": c.deviceID()}
	return e
}

// seedASCII is how account names are made of names.
func seedASCII(s string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ö", "oe", "ß", "ss", "é", "e", "ç", "c", "ł", "l", "’", "", " ", "").
		Replace(strings.ToLower(s))
}

func seedGiven() []string {
	return strings.Fields(`Anna Ben Clara David Emma Felix Greta Hannes Ida Jonas Klara Lukas Mia Noah Olga Paul Quirin Rosa
		Samuel Tina Ulrich Vera Walter Xenia Yusuf Zoé Jörg Käthe Łukasz François Wei Li Ming Priya Arjun Fatima Omar Sofia
		Diego Chiara Luca Ingrid Sven Aisha Kwame Yuki Hiroshi Nadia Ivan Petra`)
}

func seedFamily() []string {
	return strings.Fields(`Schmidt Müller Weber Wagner Becker Schulz Hoffmann Koch Bauer Richter Klein Wolf Schröder Neumann
		Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Werner Krause Lehmann Köhler Maier Fuchs Weiß Jung Hahn
		O’Brien Smith Johnson Garcia Rossi Bianchi Novak Kowalski Nguyen Tanaka Suzuki Wang Zhang Chen Singh Patel Khan
		Hassan Ibrahim Okafor Mensah Petrov Ivanova Larsen Hansen Berg Lindqvist Virtanen Dubois Moreau Silva Santos Öztürk`)
}
