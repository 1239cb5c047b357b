package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/catalogue"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/store"
)

// filterFlags are the fields of a search, as the pages name them.
type filterFlags struct {
	Person string `help:"Beginnings of words of the name, or of the UPN."`
	Device string `help:"Beginning of the device's name."`
	Serial string `help:"Beginning of the serial number."`
	Status string `help:"making, notdownloaded, downloaded, works, endssoon, void, replaced, blocked, expired or neverfetched; working, superseded or revoked for several of them."`
	Days   string `help:"With --status endssoon: within so many days. Default: 30."`
	From   string `help:"Asked for on this day or later (2026-11-22), a day in pages.time_zone."`
	To     string `help:"Asked for on this day or before, a day in pages.time_zone."`
	Since  string `help:"Ended early on this day or later, a day in pages.time_zone."`

	Authority string `placeholder:"issuing|issuing-2" help:"Issued by this issuing CA."`
}

// filter reads the flags as the pages read their address.
func (f filterFlags) filter(zone *time.Location) (admin.Filter, error) {
	q := url.Values{}
	for field, value := range map[string]string{
		"person": f.Person, "device": f.Device, "serial": f.Serial, "status": f.Status, "days": f.Days, "from": f.From, "to": f.To, "since": f.Since, "authority": f.Authority,
	} {
		if value != "" {
			q.Set(field, value)
		}
	}
	filter, bad := admin.ParseFilter(q, zone)
	if len(bad) > 0 {
		return filter, usageError("--" + bad[0] + ": " + strconv.Quote(q.Get(bad[0])) + " cannot be searched for")
	}
	return filter, nil
}

type listCommand struct {
	filterFlags
	Devices bool `help:"Devices in place of certificates."`
	JSON    bool `name:"json" help:"One JSON object for each line."`
}

// Run prints matching rows as they are read.
func (c listCommand) Run(i *invocation) error {
	settings, err := i.settings()
	if err != nil {
		return err
	}
	zone := settings.Location()
	f, err := c.filter(zone)
	if err != nil {
		return err
	}
	return i.withAdmin(func(s *admin.Service, _ *store.DB) error {
		out := bufio.NewWriter(i.io.out)
		defer out.Flush()
		if c.JSON {
			return c.printJSON(i, s, f, json.NewEncoder(escape.Writer{W: out}))
		}
		return c.printTable(i, s, f, zone, out)
	})
}

// listedCertificate is a line of list --json. The names are stable: add, do not
// rename.
type listedCertificate struct {
	Serial     string    `json:"serial"`
	Status     string    `json:"status"`
	UPN        string    `json:"upn"`
	Name       string    `json:"name,omitempty"`
	Person     string    `json:"person,omitempty"`
	Device     string    `json:"device,omitempty"`
	DeviceName string    `json:"device_name,omitempty"`
	Platform   string    `json:"platform,omitempty"`
	Requested  time.Time `json:"requested"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Cause      string    `json:"cause,omitempty"`
	Authority  string    `json:"authority"`
}

// listedDevice is a line of list --devices --json.
type listedDevice struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Platform string    `json:"platform"`
	Person   string    `json:"person"`
	UPN      string    `json:"upn,omitempty"`
	Created  time.Time `json:"created"`
	Status   string    `json:"status,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
}

func (c listCommand) printJSON(i *invocation, s *admin.Service, f admin.Filter, to *json.Encoder) error {
	if c.Devices {
		return s.EachDevice(i.ctx, portal.Operator(), f, func(d admin.Device) error {
			return to.Encode(listedDevice{
				ID: string(d.ID), Name: d.Name, Platform: string(d.Platform), Person: string(d.Person), UPN: d.UPN,
				Created: d.Created, Status: string(d.Shown), Serial: d.Certificate.Serial.String(), NotAfter: d.Certificate.NotAfter,
			})
		})
	}
	return s.EachCertificate(i.ctx, portal.Operator(), f, func(c admin.Certificate) error {
		return to.Encode(listedCertificate{
			Serial: c.Serial.String(), Status: string(c.Shown), UPN: c.UPN, Name: c.PersonName, Person: string(c.Person),
			Device: string(c.Device), DeviceName: c.DeviceName, Platform: string(c.Platform), Requested: c.Requested,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, RevokedAt: c.RevokedAt, Cause: string(c.Cause), Authority: c.Issuer,
		})
	})
}

// tableFlush is after how many rows the table is printed: its columns are as wide as
// the rows so far, and a million rows are not kept for it.
const tableFlush = 500

func (c listCommand) printTable(i *invocation, s *admin.Service, f admin.Filter, zone *time.Location, out *bufio.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := 0
	row := func(cells ...string) error {
		for n := range cells {
			cells[n] = escape.Value(cells[n])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
		if rows++; rows%tableFlush == 0 {
			return w.Flush()
		}
		return nil
	}
	var err error
	if c.Devices {
		fmt.Fprintln(w, "DEVICE\tNAME\tUPN\tSTATUS\tSERIAL")
		err = s.EachDevice(i.ctx, portal.Operator(), f, func(d admin.Device) error {
			return row(string(d.ID), d.Name, d.UPN, string(d.Shown), d.Certificate.Serial.String())
		})
	} else {
		fmt.Fprintln(w, "SERIAL\tSTATUS\tUPN\tDEVICE\tVALID UNTIL")
		err = s.EachCertificate(i.ctx, portal.Operator(), f, func(c admin.Certificate) error {
			return row(c.Serial.String(), string(c.Shown), c.UPN, c.DeviceName, c.NotAfter.In(zone).Format(time.DateOnly))
		})
	}
	return errors.Join(err, w.Flush())
}

type revokeCommand struct {
	Serial  string `xor:"what" required:"" help:"One certificate."`
	Device  string `xor:"what" required:"" help:"One device, by its id."`
	UPN     string `xor:"what" required:"" name:"upn" help:"Everything of the person who is called so now."`
	Reason  string `required:"" enum:"lost,left,replaced,withdrawn" help:"lost, left, replaced or withdrawn."`
	Comment string `required:"" help:"Why, in at most 200 characters; it stands in the audit log."`
	Yes     bool   `help:"Do it without asking."`
}

// Run asks, then revokes. For more certificates than one administrator may revoke on
// the pages, the operator types their number.
func (c revokeCommand) Run(i *invocation) error {
	g, err := admin.Grounds{Cause: portal.Cause(c.Reason), Comment: c.Comment}.Check()
	if err != nil {
		return usageError("--comment: write 1 to 200 characters")
	}
	return i.withAdmin(func(s *admin.Service, db *store.DB) error {
		f, err := c.target(i, db)
		if err != nil {
			return err
		}
		if err := c.ask(i, s, f); err != nil {
			return err
		}
		ended, err := c.revoke(i, s, f, g)
		if err != nil {
			return err
		}
		for _, serial := range ended {
			fmt.Fprintln(i.io.out, serial)
		}
		// A running portal renews the revocation list within a minute.
		fmt.Fprintf(i.io.err, "%d certificates revoked\n", len(ended))
		return nil
	})
}

// target resolves the flags to an exact filter. It refuses ambiguous names.
func (c revokeCommand) target(i *invocation, db *store.DB) (admin.Filter, error) {
	switch {
	case c.Serial != "":
		serial, err := ca.ParseSerial(c.Serial)
		if err != nil {
			return admin.Filter{}, usageError("--serial: " + strconv.Quote(c.Serial) + " is no serial number")
		}
		return admin.Filter{Serial: serial.String()}, nil
	case c.Device != "":
		return admin.Filter{DeviceID: portal.DeviceID(c.Device)}, nil
	}
	person, err := db.PersonCalled(i.ctx, c.UPN)
	if err != nil {
		return admin.Filter{}, fmt.Errorf("finding %q among those who have certificates: %w", c.UPN, err)
	}
	return admin.Filter{PersonID: person}, nil
}

// ask shows what is about to end.
func (c revokeCommand) ask(i *invocation, s *admin.Service, f admin.Filter) error {
	live := 0
	err := s.EachCertificate(i.ctx, portal.Operator(), f, func(c admin.Certificate) error {
		if c.State == admin.Expired || c.State == admin.Revoked {
			return nil
		}
		if live++; live <= s.SecondPerson() {
			fmt.Fprintf(i.io.err, "%s  %s  %s\n", c.Serial, escape.Value(c.UPN), escape.Value(c.DeviceName))
		}
		return nil
	})
	if err != nil || c.Yes {
		return err
	}
	want := "yes"
	if live > s.SecondPerson() {
		want = strconv.Itoa(live)
		fmt.Fprintf(i.io.err, "and so on: %d certificates in all.\n", live)
	}
	fmt.Fprintf(i.io.err, "Revoking cannot be undone. Type %s to go on: ", want)
	answer, err := bufio.NewReader(i.io.in).ReadString('\n')
	if strings.TrimSpace(answer) != want {
		return errors.Join(errors.New("nothing was revoked"), err)
	}
	return nil
}

func (c revokeCommand) revoke(i *invocation, s *admin.Service, f admin.Filter, g admin.Grounds) ([]ca.Serial, error) {
	switch {
	case f.Serial != "":
		serial, err := ca.ParseSerial(f.Serial)
		if err != nil {
			return nil, err
		}
		ended, _, err := s.RevokeCertificate(i.ctx, portal.Operator(), serial, g)
		return ended, err
	case f.DeviceID != "":
		ended, _, err := s.RevokeDevice(i.ctx, portal.Operator(), f.DeviceID, g)
		return ended, err
	}
	ended, _, err := s.RevokePerson(i.ctx, portal.Operator(), f.PersonID, g)
	return ended, err
}

type haltCommand struct {
	Reason string            `required:"" help:"What people read who come meanwhile, in at most 200 characters."`
	In     map[string]string `help:"The same for readers of a language: --in 'de=Wir wechseln Server' (en, de, zh-Hans)." placeholder:"LANG=TEXT"`
}

// Run stops issuing.
func (c haltCommand) Run(i *invocation) error {
	return i.withAdmin(func(s *admin.Service, _ *store.DB) error {
		texts := map[string]string{"": c.Reason}
		for lang, text := range c.In {
			if !slices.Contains(catalogue.Languages(), lang) {
				return usageError(fmt.Sprintf("--in: %q is not one of %s", lang, strings.Join(catalogue.Languages(), ", ")))
			}
			texts[lang] = text
		}
		_, err := s.Halt(i.ctx, portal.Operator(), texts)
		var refusal *portal.Refusal
		if errors.As(err, &refusal) {
			return usageError("--reason and --in: write 1 to 200 characters")
		}
		if err == nil {
			fmt.Fprintln(i.io.err, "Nothing is issued any more. Let it go on with: "+i.again("resume"))
		}
		return err
	})
}

type resumeCommand struct{}

// Run lets issuing go on.
func (resumeCommand) Run(i *invocation) error {
	return i.withAdmin(func(s *admin.Service, _ *store.DB) error {
		changed, err := s.Resume(i.ctx, portal.Operator())
		if err == nil && !changed {
			fmt.Fprintln(i.io.err, "Issuing was not stopped.")
		}
		return err
	})
}

// withAdmin opens the database of an installation, which a portal may be using, and
// calls do with the administration service.
func (i *invocation) withAdmin(do func(*admin.Service, *store.DB) error) error {
	return i.withRecords(func(s *config.Settings, db *store.DB) error {
		service, err := admin.New(admin.Config{Store: db, SecondPerson: s.Admin.SecondPerson, Log: i.quiet()})
		if err != nil {
			return err
		}
		return do(service, db)
	})
}
