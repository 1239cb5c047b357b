package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/escape"
	"certportal/store"
)

type upstreamCommands struct {
	Revocations upstreamRevocations `cmd:"" help:"Show what CAs elsewhere have not revoked yet."`
	Script      revocationScript    `cmd:"" name:"revocation-script" help:"Print the PowerShell script with which the host of AD CS revokes what the portal blocked."`
	Confirm     upstreamConfirm     `cmd:"" help:"Record that you revoked a certificate at its CA by hand."`
	Discover    upstreamDiscover    `cmd:"" help:"Show the CAs and templates that Active Directory knows, with settings for each. Changes nothing."`
	Test        upstreamTest        `cmd:"" help:"Ask a CA elsewhere for a certificate, compare it, and have it revoked. Its key is destroyed."`
}

// maxOpen bounds the revocations that are shown.
const maxOpen = 10_000

type upstreamRevocations struct{}

// Run lists the revocations that no CA confirmed, and when those asked that revoke for a CA.
func (upstreamRevocations) Run(i *invocation) error {
	return i.withRecords(func(s *config.Settings, db *store.DB) error {
		open, err := db.UpstreamRevocations(i.ctx, maxOpen)
		if err != nil {
			return err
		}
		if err := i.showRevokers(s, db); err != nil {
			return err
		}
		if len(open) == 0 {
			fmt.Fprintln(i.io.out, "Every revocation is confirmed.")
			return nil
		}
		w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SERIAL\tCA\tREASON\tSINCE\tASKED\tANSWER")
		for _, v := range open {
			fmt.Fprintf(w, "%s\t%s\t%s (%d)\t%s\t%d\t%s\n", v.Serial, strings.TrimPrefix(v.Authority, enroll.UpstreamPrefix), reasonName(v.Reason), v.Reason,
				v.Asked.In(s.Location()).Format(time.DateTime), v.Tries, escape.Value(v.Detail))
		}
		return w.Flush()
	})
}

// showRevokers prints for each CA with a revoker when that asked last.
func (i *invocation) showRevokers(s *config.Settings, db *store.DB) error {
	known, err := db.UpstreamRevokers(i.ctx, time.Now())
	if err != nil {
		return err
	}
	for _, u := range s.Upstreams {
		if !s.HasRevoker(u) {
			continue
		}
		asked := "never"
		n := slices.IndexFunc(known, func(v enroll.UpstreamRevoker) bool { return v.Authority == enroll.UpstreamPrefix+u.Name })
		if n >= 0 && !known[n].Asked.IsZero() {
			asked = known[n].Asked.In(s.Location()).Format(time.DateTime)
		}
		fmt.Fprintf(i.io.out, "The host of %s last asked what to revoke: %s.\n", u.Name, asked)
	}
	return nil
}

type upstreamConfirm struct {
	Serial string `arg:"" help:"Serial number of the certificate, hexadecimal."`
}

// Run records that a certificate is revoked at its CA.
func (c upstreamConfirm) Run(i *invocation) error {
	serial, err := ca.ParseSerial(c.Serial)
	if err != nil {
		return usageError(err.Error())
	}
	return i.withRecords(func(_ *config.Settings, db *store.DB) error {
		open, err := db.UpstreamRevocations(i.ctx, maxOpen)
		if err != nil {
			return err
		}
		n := slices.IndexFunc(open, func(v enroll.UpstreamRevocation) bool { return v.Serial == serial })
		if n < 0 {
			return fmt.Errorf("%s waits for no revocation: see certportal upstream revocations", serial)
		}
		v := open[n]
		v.Done, v.DoneBy, v.Next, v.Detail = time.Now(), enroll.ByOperator, time.Time{}, ""
		entry := byOperator()
		entry.At, entry.Action, entry.Object = v.Done, audit.UpstreamRevoked, serial.String()
		entry.Detail = map[string]string{"authority": v.Authority, "why": v.Why, "by": "hand"}
		if err := db.NoteUpstreamRevocation(i.ctx, v, entry); err != nil {
			return err
		}
		fmt.Fprintf(i.io.out, "Recorded: %s is revoked at %s.\n", serial, strings.TrimPrefix(v.Authority, enroll.UpstreamPrefix))
		return nil
	})
}

type revocationScript struct {
	CA  string `arg:"" name:"ca" help:"Name of the CA in upstreams."`
	Out string `placeholder:"FILE" help:"Write it to a file instead."`
}

// Run makes the script from the settings. It opens nothing.
func (c revocationScript) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	script, err := app.RevocationScript(s, c.CA)
	if err != nil {
		return err
	}
	return i.writeScript(script, c.Out, "On the host of the CA it is a dry run without -Execute: see docs/upstream-adcs.md.\n")
}
