package doctor

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
)

// masker takes secrets and names of people out of a text.
type masker struct {
	known *strings.Replacer // secrets, and names of several words
	words map[string]bool   // names of one word, in small letters: masked as whole words only
}

// shortestMask is the length from which what is known is masked.
const shortestMask = 3

// maskedPeople bounds how many certificates are read for the names of people.
const maskedPeople = 50_000

// masker collects what is known of secrets and people of this installation.
func (d *Doctor) masker(ctx context.Context) masker {
	m := masker{words: map[string]bool{}}
	var pairs []string
	add := func(mask string, values []string) {
		slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
		for _, v := range values {
			if len(v) < shortestMask {
				continue
			}
			inJSON, _ := json.Marshal(v) // texts are masked in the form that they are written in
			pairs = append(pairs, v, mask, strings.ToLower(v), mask, strings.Trim(string(inJSON), `"`), mask)
		}
	}
	add("[secret]", secretsOf(d.c.Settings))
	var several []string
	for _, name := range d.peopleNames(ctx) {
		if word := wordForm().FindString(name); word == name {
			m.words[strings.ToLower(name)] = len(name) >= shortestMask
			continue
		}
		several = append(several, name)
	}
	add("[person]", several)
	m.known = strings.NewReplacer(pairs...)
	return m
}

// wordForm matches a word, or a login name.
func wordForm() *regexp.Regexp { return regexp.MustCompile(`[\p{L}\p{N}_-]+`) }

// peopleNames are names, login names, UPNs and addresses of people in the database and in
// the settings.
func (d *Doctor) peopleNames(ctx context.Context) []string {
	s := d.c.Settings
	names := append([]string{s.Helpdesk.Mail, s.Helpdesk.Phone, s.Helpdesk.AfterHoursPhone, s.Directory.User, s.Mail.User, s.Mail.From}, s.Mail.Operators...)
	if d.c.DB == nil {
		return names
	}
	accounts, _ := d.c.DB.Accounts(ctx) // an error is a finding; the patterns mask, too
	for _, a := range accounts {
		names = append(names, a.Name, a.GivenName, a.Login, a.UPN, a.Mail, a.SID, a.Manager, a.Phone, a.EmployeeNumber)
	}
	var from admin.Cursor
	for read := 0; read < maskedPeople; {
		found, err := d.c.DB.Certificates(ctx, admin.Filter{}, from, 1000, d.c.Now())
		if err != nil {
			return names
		}
		for _, c := range found.Rows {
			names = append(names, c.PersonName, c.UPN, c.DeviceName, string(c.Person))
		}
		if read += max(len(found.Rows), 1); found.Next == (admin.Cursor{}) {
			return names
		}
		from = found.Next
	}
	return names
}

// secretsOf reads the secrets that the settings and the data folder hold.
func secretsOf(s *config.Settings) []string {
	var secrets []string
	for _, file := range []string{
		s.DefaultPassphraseFile(), s.CA.PassphraseFile, s.CA.PKCS11.IssuingPINFile, s.CA.PKCS11.RootPINFile, s.DatabaseFile,
		s.Directory.PasswordFile, s.Mail.PasswordFile, s.OpenID.ClientSecretFile, s.Revocation.LDAP.PasswordFile,
	} {
		if file == "" || file == config.Prompt {
			continue
		}
		if text, err := os.ReadFile(file); err == nil && len(text) < 64<<10 {
			secrets = append(secrets, strings.TrimRight(string(text), "\r\n"))
		}
	}
	secrets = append(secrets, passwordOf(s.Database))
	for _, text := range secrets {
		secrets = append(secrets, passwordOf(text)) // of a database address in a file
	}
	var people []struct{ Password string }
	if text, err := os.ReadFile(s.Path(SampleFile)); err == nil && json.Unmarshal(text, &people) == nil {
		for _, p := range people {
			secrets = append(secrets, p.Password)
		}
	}
	return secrets
}

// passwordOf is the password in an address; empty without one.
func passwordOf(address string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		return ""
	}
	userinfo, _, found := strings.Cut(rest, "@")
	_, password, with := strings.Cut(userinfo, ":")
	if !found || !with {
		return ""
	}
	return password
}

// text masks a text: first what is known, then everything that has the form of a name.
func (m masker) text(s string) string {
	s = m.known.Replace(s)
	s = wordForm().ReplaceAllStringFunc(s, func(word string) string {
		if m.words[strings.ToLower(word)] {
			return "[person]"
		}
		return word
	})
	for _, p := range []struct{ form, mask string }{
		{`://[^/\s"@]+@`, `://[secret]@`},
		{`[^\s"'<>@,;:()\[\]=/\\]+@([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)`, `[person]@$1`},
		{`(?i)\b(cn|uid|sn|givenname|mail|samaccountname)=(\\.|[^,"\\)])+`, `$1=[name]`},
		{`S-1-5-21-\d+-\d+-\d+(-\d+)?`, `[SID]`},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `[id]`},
	} {
		s = regexp.MustCompile(p.form).ReplaceAllString(s, p.mask)
	}
	return s
}
