package app

import (
	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
)

// tokenFindings opens the tokens of the settings, and looks for the keys of the CA's folder
// in them. A wrong PIN is tried once.
func tokenFindings(s *config.Settings) []portal.Finding {
	p := s.CA.PKCS11
	var list []portal.Finding
	add := func(what string, err error, fine string) {
		f := portal.Finding{What: what, State: portal.FindingOK, Text: fine}
		if err != nil {
			f.State, f.Text = portal.FindingFailed, err.Error()
		}
		list = append(list, f)
	}
	if p.Module != "" && !hsm.Built {
		add("ca.pkcs11", hsm.ErrWithout, "")
		return list
	}
	tokens := localca.Tokens(s)
	defer tokens.Close()
	for _, one := range []struct {
		setting, label string
		kind           ca.KeyKind
	}{{"ca.pkcs11.issuing_token", p.IssuingToken, s.CA.IssuingKey}, {"ca.pkcs11.root_token", p.RootToken, s.CA.RootKey}} {
		if one.label != "" {
			add(one.setting, tokens.Check(one.label, one.kind), "the token "+one.label+" opens and makes keys of the kind "+string(one.kind))
		}
	}
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return list // the finding about the CA says so
	}
	for _, name := range localca.ListNames(folder) {
		file, err := folder.KeyFile(name)
		if err != nil || !hsm.IsReference(file) {
			continue
		}
		key, err := tokens.Open(file)
		if err == nil {
			err = key.Find()
		}
		add("key of "+name, err, "it is in its token")
	}
	return list
}
