package doctor

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"certportal/internal/admin"
)

// bundleLimit bounds how long the database is read for a bundle.
const bundleLimit = 30 * time.Second

// Bundle returns a zip file for support: the report, the settings, versions, counts, alerts
// and the last events. Secrets and names of people are taken out of it.
func (d *Doctor) Bundle(ctx context.Context, r Report) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	select {
	case <-d.opened:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for database and authority: %w", ctx.Err())
	}
	m := d.masker(ctx)
	var file bytes.Buffer
	z := zip.NewWriter(&file)
	for _, part := range []struct {
		name    string
		content any
	}{
		{"checks.json", r}, {"settings.json", d.bundledSettings()}, {"versions.json", bundledVersions(r)},
		{"counts.json", d.bundledCounts(ctx)}, {"alerts.json", d.bundledAlerts(ctx)}, {"events.json", d.bundledEvents(ctx)},
	} {
		text, err := json.MarshalIndent(part.content, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("bundling %s: %w", part.name, err)
		}
		if err := addFile(z, part.name, r.At, m.text(string(text))); err != nil {
			return nil, err
		}
	}
	if err := addFile(z, "README.txt", r.At, bundleReadme); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("bundling: %w", err)
	}
	return file.Bytes(), nil
}

const bundleReadme = `Support bundle of a certportal installation, made by "certportal doctor --bundle".

checks.json    each check: state, what was tried, what was found, what to do; start here
settings.json  settings by key; "(set)" where the value is a name, a text or a secret
versions.json  the program, Go, the system
counts.json    how many certificates, people, refusals by reason
alerts.json    what needs an administrator now
events.json    the last entries of the audit log: when and what, not who

Secrets and names of people are not in here: [secret], [person], [name], [SID] and [id] stand for them.
Host names, domains and file names are. Read it before you send it.
`

func addFile(z *zip.Writer, name string, at time.Time, text string) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err != nil {
		return fmt.Errorf("bundling %s: %w", name, err)
	}
	return nil
}

func bundledVersions(r Report) map[string]any {
	all := map[string]any{"version": r.Version, "at": r.At, "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH, "processors": runtime.NumCPU()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "vcs.") {
				all[s.Key] = s.Value
			}
		}
	}
	return all
}

// shownSettings matches the keys of texts that are no names and no secrets: addresses, hosts,
// files, choices of a list.
func shownSettings() *regexp.Regexp {
	return regexp.MustCompile(`^(data|listen.*|public_.*|check_header|log_.*|node|trusted_proxies|tls\..*|revocation\.(folders|journal|ldap\.url)|` +
		`ca\.(root_key|issuing_key|passphrase_file|pkcs11\.module)|certificates\..*|directory\.(kind|domain|servers|ca_file|password_file|upn_suffixes|global_catalog|attributes\..*|watch\..*)|` +
		`openid\.(issuer|ca_file|client_secret_file|scopes|.*_claim)|exchange\.(host|user_name)|mail\.(host|security|ca_file|password_file|language)|pages\.(time_zone|logo|accent)|` +
		`audit\..*|apple\.signer_.*|database_file)$`)
}

// bundledSettings lists the settings by key.
func (d *Doctor) bundledSettings() map[string]any {
	all := map[string]any{}
	listSettings(all, "", reflect.ValueOf(*d.c.Settings), shownSettings())
	if address := d.c.Settings.Database; address != "" {
		engine, _, _ := strings.Cut(address, ":")
		all["database"] = engine + ":(set)"
	}
	return all
}

func listSettings(all map[string]any, prefix string, v reflect.Value, shown *regexp.Regexp) {
	for i := range v.NumField() {
		field, name := v.Field(i), prefix+v.Type().Field(i).Tag.Get("yaml")
		switch {
		case field.Kind() == reflect.Struct:
			listSettings(all, name+".", field, shown)
		case field.Kind() == reflect.Bool || field.CanInt() || shown.MatchString(name):
			all[name] = fmt.Sprint(field.Interface())
		case field.Kind() == reflect.Slice:
			all[name] = fmt.Sprintf("(%d set)", field.Len())
		case !field.IsZero():
			all[name] = "(set)"
		}
	}
}

// bundledCounts counts what is in the database; nothing while it does not open.
func (d *Doctor) bundledCounts(ctx context.Context) map[string]any {
	all := map[string]any{}
	if d.c.DB == nil {
		return all
	}
	now := d.c.Now()
	note := func(name string, value any, err error) {
		if all[name] = value; err != nil {
			all[name] = err.Error()
		}
	}
	stats, err := d.c.DB.AdminStats(ctx, now, admin.NewStatsSince(now, time.UTC))
	note("certificates", stats, err)
	reasons, err := d.c.DB.RefusalReasons(ctx, now.Add(-7*24*time.Hour), 20)
	note("refusals in a week", reasons, err)
	holders, err := d.c.DB.CountHolders(ctx, now)
	note("people with certificates", holders, err)
	accounts, err := d.c.DB.Accounts(ctx)
	note("accounts of the built-in directory", len(accounts), err)
	head, err := d.c.DB.Head(ctx)
	note("entries of the audit log", head.Seq, err)
	if d.c.Lists != nil {
		for _, h := range d.c.Lists.Health() {
			note(fmt.Sprintf("list of %s, delta %v", h.Issuer, h.Delta), map[string]any{"number": h.List.Number, "entries": h.List.Entries, "until": h.List.NextUpdate}, nil)
		}
	}
	return all
}

// bundledAlerts are the alerts of now. From outside the portal its memory is not seen: an
// alert about its mail queue or a list that could not be made is missing.
func (d *Doctor) bundledAlerts(ctx context.Context) []admin.Alert {
	if d.c.DB == nil || d.c.CA == nil || d.c.Lists == nil {
		return nil
	}
	return d.Alerts(ctx)
}

// bundledEvent is an entry of the audit log without people.
type bundledEvent struct {
	At     time.Time `json:"at"`
	Node   string    `json:"node,omitempty"`
	Action string    `json:"action"`
	Role   string    `json:"role"`
	Reason string    `json:"reason,omitempty"`
}

// lastEvents is how many entries of the audit log a bundle has.
const lastEvents = 500

func (d *Doctor) bundledEvents(ctx context.Context) []bundledEvent {
	if d.c.DB == nil {
		return nil
	}
	head, err := d.c.DB.Head(ctx)
	if err != nil {
		return nil // the check of the database says why
	}
	entries, _ := d.c.DB.Entries(ctx, max(0, head.Seq-lastEvents), lastEvents) // likewise
	var events []bundledEvent
	word := regexp.MustCompile(`^[a-z][a-z-]{0,40}$`)
	for _, e := range entries {
		b := bundledEvent{At: e.At, Node: e.Node, Action: string(e.Action), Role: e.Role}
		if r := e.Detail["reason"]; word.MatchString(r) {
			b.Reason = r
		}
		events = append(events, b)
	}
	return events
}
