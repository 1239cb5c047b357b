package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/escape"
	"certportal/store"
)

type caImport struct {
	Cert           string `required:"" placeholder:"FILE" help:"What the company's CA made of the request: PEM, DER or PKCS#7."`
	Chain          string `placeholder:"FILE" help:"The certificates above it, up to the root, in any order. Default: those in --cert."`
	AcceptWarnings bool   `name:"accept-warnings" help:"Import in spite of warnings, without a question."`
}

// Run checks what the company's CA gave, and imports it if all is well. What runs does
// not change.
func (c caImport) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := localca.CheckImport(i.ctx, s, db, c.Cert, c.Chain, time.Now())
	if err != nil {
		return err
	}
	printProblems(i, found)
	if err := c.accepted(i, found); err != nil {
		return err
	}
	name, err := found.Finish(i.ctx, s, db, i.terminal(), time.Now())
	if err != nil {
		return err
	}
	return imported(i, s, db, found, name)
}

func printProblems(i *invocation, found *localca.Import) {
	words := map[ca.ImportLevel]string{ca.ImportNote: "note", ca.ImportWarning: "WARNING", ca.ImportError: "ERROR"}
	for n := ca.ImportError; n >= ca.ImportNote; n-- {
		for _, p := range found.Problems {
			if p.Level != n {
				continue
			}
			fmt.Fprintf(i.io.err, "%s: %s\n", words[p.Level], p.Text)
			if p.Ask != "" {
				fmt.Fprintf(i.io.err, "  %s\n", p.Ask)
			}
		}
	}
}

// accepted asks about warnings, where there is a terminal to ask at.
func (c caImport) accepted(i *invocation, found *localca.Import) error {
	switch found.Level() {
	case ca.ImportError:
		return errors.New("nothing was imported, and nothing changed")
	case ca.ImportNote:
		return nil
	}
	if c.AcceptWarnings {
		return nil
	}
	if f, ok := i.io.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(i.io.err, "Import in spite of the warnings? Type yes: ")
		answer, _ := bufio.NewReader(f).ReadString('\n')
		if strings.TrimSpace(answer) == "yes" {
			return nil
		}
	}
	return errors.New("nothing was imported because of the warnings, and nothing changed; --accept-warnings imports all the same")
}

// imported prints what there is now. The first CA of an installation gets its first
// revocation list.
func imported(i *invocation, s *config.Settings, db *store.DB, found *localca.Import, name string) error {
	root := found.Chain[len(found.Chain)-1]
	out := escape.Writer{W: i.io.out}
	fmt.Fprintf(out, "Imported %s as %s, under the root %s\n  SHA-256 of the root  %s\n",
		found.Certificate.Subject, name, root.Subject, ca.Fingerprint(root))
	if !found.First() {
		_, err := fmt.Fprintf(i.io.out, "It is not active yet: the portal issues from the CA that it issued from before. Copy its three files to the replicas,\n"+
			"publish it (certutil -dspublish -f %[1]s.cer NTAuthCA), wait until domain controllers know it, then: certportal ca activate %[1]s\n", name)
		return err
	}
	fmt.Fprint(i.io.out, "Compare the fingerprint of the root with the company's. Then publish the issuing CA to NTAuth:\n"+
		"  certutil -dspublish -f issuing.cer NTAuthCA\n")
	return firstList(i, s, db)
}

// firstList makes the first revocation list. Without the key open it is made at the start.
func firstList(i *invocation, s *config.Settings, db *store.DB) error {
	if s.CA.PassphraseFile == config.Prompt {
		return nil
	}
	a, err := localca.Open(s, nil, i.terminal())
	if err != nil {
		return err
	}
	defer a.Close()
	if a.Sealed != nil {
		return a.Sealed
	}
	if err := a.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
		return err
	}
	return publishAll(a, i, s, db)
}
