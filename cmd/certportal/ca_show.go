package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/store"
)

type caShow struct {
	JSON bool `name:"json" help:"Print one JSON object, for scripts."`
}

// shownCA is what ca show --json prints. The names are stable: add, do not rename.
type shownCA struct {
	Root        *shownCertificate `json:"root,omitempty"`
	OwnRoot     bool              `json:"own_root"`
	RootKeyHere bool              `json:"root_key_here"`
	RootKeyIn   *shownPlace       `json:"root_key_in,omitempty"`
	Authorities []shownAuthority  `json:"authorities"`
	Requests    []shownRequest    `json:"requests"`
	Lists       []shownList       `json:"revocation_lists"`
}

type shownCertificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"`
	Key       string    `json:"key"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`
}

type shownAuthority struct {
	Name        string             `json:"name"`
	State       string             `json:"state"` // pending, active, retiring, retired, revoked; empty: not recorded yet
	ActivateAt  time.Time          `json:"activate_at,omitzero"`
	People      int                `json:"people"`  // with a certificate of it in use
	Devices     int                `json:"devices"` // the same
	Certificate shownCertificate   `json:"certificate"`
	KeyIn       shownPlace         `json:"key_in"`
	Chain       []shownCertificate `json:"chain"` // issuers, the root last
}

// shownPlace is where a key is.
type shownPlace struct {
	Kind  string `json:"kind"` // file or token
	Token string `json:"token,omitempty"`
	Label string `json:"label,omitempty"` // of the key in the token
}

type shownRequest struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Key     string `json:"key"`
	File    string `json:"file"`
}

type shownList struct {
	Issuer     string    `json:"issuer"`
	Number     int64     `json:"number"` // 0: none yet
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
}

// Run describes the CA without opening a key.
func (c caShow) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	shown, err := showCA(i, s)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(i.io.out)
		out.SetIndent("", "  ")
		return out.Encode(shown)
	}
	return shown.print(i)
}

// showCA reads folder and lists. A CA that waits for its certificate has requests only.
func showCA(i *invocation, s *config.Settings) (shownCA, error) {
	shown := shownCA{Authorities: []shownAuthority{}, Requests: []shownRequest{}, Lists: []shownList{}}
	folder, err := ca.OpenFolder(s.Path("ca"))
	switch {
	case localca.NotCreated(err):
		return shown, fmt.Errorf("there is no CA in %s: create it with certportal ca init, or ask the company's CA for one with certportal ca csr", s.Path("ca"))
	case errors.Is(err, ca.ErrRequested):
		requests, err := ca.PendingRequests(s.Path("ca"))
		return shown.withRequests(requests, s), err
	case err != nil:
		return shown, err
	}
	root := showCertificate(folder.Root())
	shown.Root, shown.OwnRoot, shown.RootKeyHere = &root, folder.OwnRoot(), folder.HoldsRootKey()
	for _, a := range folder.Authorities() {
		chain := []shownCertificate{}
		for _, cert := range a.Chain {
			chain = append(chain, showCertificate(cert))
		}
		place, err := placeOf(folder, a.Name)
		if err != nil {
			return shown, err
		}
		shown.Authorities = append(shown.Authorities, shownAuthority{Name: a.Name, Certificate: showCertificate(a.Certificate), KeyIn: place, Chain: chain})
	}
	if shown.RootKeyHere {
		place, err := placeOf(folder, localca.RootName)
		if err != nil {
			return shown, err
		}
		shown.RootKeyIn = &place
	}
	requests, err := folder.Requests()
	if err != nil {
		return shown, err
	}
	shown = shown.withRequests(requests, s)
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return shown, err
	}
	defer db.Close()
	if err := shown.addStates(i, db); err != nil {
		return shown, err
	}
	shown.Lists, err = showLists(i, db, folder)
	return shown, err
}

func placeOf(folder *ca.Folder, name string) (shownPlace, error) {
	place, err := localca.KeyPlaceOf(folder, name)
	if err != nil || place.Token == "" {
		return shownPlace{Kind: "file"}, err
	}
	return shownPlace{Kind: "token", Token: place.Token, Label: place.Label}, nil
}

// String says where the key is.
func (p shownPlace) String() string {
	if p.Kind == "token" {
		return fmt.Sprintf("in the token %q as %q", p.Token, p.Label)
	}
	return "in a file, encrypted"
}

// addStates says what each issuing CA may do, and who holds its certificates.
func (c shownCA) addStates(i *invocation, db *store.DB) error {
	records, err := db.Authorities(i.ctx)
	if err != nil {
		return err
	}
	held, err := db.AuthorityHolders(i.ctx, time.Now())
	for _, r := range records {
		for n := range c.Authorities {
			if c.Authorities[n].Name == r.Name {
				c.Authorities[n].State, c.Authorities[n].ActivateAt = string(r.State), r.ActivateAt
				c.Authorities[n].People, c.Authorities[n].Devices = held[r.Name].People, held[r.Name].Devices
			}
		}
	}
	return err
}

func (c shownCA) withRequests(requests []ca.Request, s *config.Settings) shownCA {
	for _, r := range requests {
		c.Requests = append(c.Requests, shownRequest{
			r.Name, r.Request.Subject.String(), keyText(r.Request.PublicKey), filepath.Join(s.Path("ca"), r.Name+".csr"),
		})
	}
	return c
}

func showLists(i *invocation, db *store.DB, folder *ca.Folder) ([]shownList, error) {
	var lists []shownList
	for _, name := range localca.ListNames(folder) {
		list, _, err := db.Latest(i.ctx, name, false, 0)
		if err != nil {
			return nil, err
		}
		lists = append(lists, shownList{name, list.Number, list.ThisUpdate.UTC(), list.NextUpdate.UTC()})
	}
	return lists, nil
}

func showCertificate(cert *x509.Certificate) shownCertificate {
	return shownCertificate{
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Serial: fmt.Sprintf("%x", cert.SerialNumber),
		Key: keyText(cert.PublicKey), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), SHA256: ca.Fingerprint(cert),
	}
}

// keyText is the kind of a key; a company's root may have one that the portal would not
// make.
func keyText(pub any) string {
	if kind, err := ca.KindOf(pub); err == nil {
		return string(kind)
	}
	return ca.DescribeKey(&x509.Certificate{PublicKey: pub})
}

func (c shownCA) print(i *invocation) error {
	if c.Root != nil {
		c.Root.print(i, "Root")
	}
	for n, a := range c.Authorities {
		what := "Issuing CA"
		if n > 0 {
			what += " " + a.Name
		}
		a.Certificate.print(i, what)
		fmt.Fprintf(i.io.out, "  key is       %s\n", a.KeyIn)
		if a.State != "" {
			fmt.Fprintf(i.io.out, "  state        %s\n  in use       %d certificates of %d people\n", a.stateText(), a.Devices, a.People)
		}
		for _, cert := range a.Chain[:len(a.Chain)-1] {
			fmt.Fprintf(i.io.out, "  issued by    %s\n", cert.Subject)
		}
	}
	if c.Root != nil {
		fmt.Fprintf(i.io.out, "\nRoot key: %s\n", c.rootKey())
	}
	for _, r := range c.Requests {
		fmt.Fprintf(i.io.out, "\nRequest %s, waiting for its certificate: %s\n  key          %s\n  file         %s\n", r.Name, r.Subject, r.Key, r.File)
	}
	for _, l := range c.Lists {
		if l.Number == 0 {
			fmt.Fprintf(i.io.out, "Revocation list of %s: none\n", l.Issuer)
			continue
		}
		fmt.Fprintf(i.io.out, "Revocation list of %s: number %d, until %s\n", l.Issuer, l.Number, l.NextUpdate.Format(time.RFC3339))
	}
	return nil
}

// stateText is the state in words.
func (a shownAuthority) stateText() string {
	text := map[string]string{
		"pending": "pending: it issues nothing before certportal ca activate", "active": "active: it issues",
		"retiring": "retiring: it signs lists and OCSP signers, and issues nothing", "retired": "retired: all its certificates have ended",
		"revoked": "revoked: it issues nothing",
	}[a.State]
	if !a.ActivateAt.IsZero() {
		text += "; planned for " + a.ActivateAt.Format(time.RFC3339)
	}
	return text
}

func (c shownCA) rootKey() string {
	switch {
	case !c.OwnRoot:
		return "the root is the company's"
	case c.RootKeyIn != nil && c.RootKeyIn.Kind == "token":
		return c.RootKeyIn.String()
	case c.RootKeyHere:
		return "on this machine, encrypted; certportal ca export-root-key takes it away"
	}
	return "not on this machine"
}

func (c shownCertificate) print(i *invocation, what string) {
	fmt.Fprintf(i.io.out, "\n%s: %s\n  key          %s\n  until        %s\n  SHA-256      %s\n",
		what, c.Subject, c.Key, c.NotAfter.Format(time.DateOnly), c.SHA256)
}
