package setup

import (
	"fmt"
	"strings"
)

// nextStep prints what was written and what comes next.
func (d *dialogue) nextStep() error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nWritten: %s\n", d.Settings)
	fmt.Fprintf(&b, "Passphrase of the CA's keys: %s. Keep a copy elsewhere: without it the CA is lost.\n\nNext:\n", d.passphraseFile())
	as, with, passphrase := "", "", ""
	if d.Service != nil {
		as = "sudo -u " + d.Service.Account + " "
	}
	with = " --config " + d.Settings
	if d.Service != nil {
		passphrase = " < " + d.passphraseFile()
	}
	step := 0
	next := func(format string, args ...any) {
		step++
		fmt.Fprintf(&b, "  %d. %s\n", step, fmt.Sprintf(format, args...))
	}
	next("%scertportal config check%s", as, with)
	if d.answers[caKind] == "company" {
		prompt := ""
		if d.Service != nil {
			prompt = "env CERTPORTAL_CA_PASSPHRASE_FILE=prompt "
		}
		next("%s%scertportal ca csr --out %s/phones.csr%s%s", as, prompt, d.Data, with, passphrase)
		next("Let the company's CA sign it, then certportal ca import: see docs/company-root.md")
	}
	if d.Service != nil {
		next("systemctl enable --now certportal")
	} else {
		next("certportal serve%s", with)
	}
	if !elsewhere(d.answers) {
		next("Sign in as admin. The password is printed once, when the portal starts first.")
	}
	next("%scertportal doctor%s", as, with)
	if d.answers[caKind] == "own" {
		next("Bring the root's key into a safe: docs/running.md, \"The root's key in a safe\"")
	}
	next("Back up each night, and keep the passphrase apart from it: docs/backup.md")
	_, err := fmt.Fprint(d.Out, b.String())
	return err
}
