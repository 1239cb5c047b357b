package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Choice is a CA with the templates that it issues, the best for the portal first.
type Choice struct {
	Service
	Templates []Judged
	Unknown   []string // names of templates that it issues and that could not be read
	Domain    string   // NetBIOS name of the domain; may be empty
}

// Judged is a template with what speaks against it.
type Judged struct {
	Template
	Findings []Finding // most important first
}

// Worst is the level of the most important finding; 0 without any.
func (j Judged) Worst() Level {
	if len(j.Findings) == 0 {
		return 0
	}
	return j.Findings[0].Level
}

// Choices lists the CAs by name, with the templates that they issue.
func (f Forest) Choices(n Needs) []Choice {
	var all []Choice
	for _, s := range f.Services {
		c := Choice{Service: s, Domain: f.NetBIOS}
		for _, name := range s.Templates {
			i := slices.IndexFunc(f.Templates, func(t Template) bool { return strings.EqualFold(t.Name, name) })
			if i < 0 {
				c.Unknown = append(c.Unknown, name)
				continue
			}
			c.Templates = append(c.Templates, Judged{f.Templates[i], f.Templates[i].Findings(n)})
		}
		slices.SortStableFunc(c.Templates, func(a, b Judged) int {
			return cmp.Or(cmp.Compare(a.Worst(), b.Worst()), cmp.Compare(len(a.Findings), len(b.Findings)), strings.Compare(a.Name, b.Name))
		})
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Choice) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Best is the template with the least against it; false when all have critical findings.
func (c Choice) Best() (Template, bool) {
	if len(c.Templates) == 0 || c.Templates[0].Worst() == Critical {
		return Template{}, false
	}
	return c.Templates[0].Template, true
}

// Settings is an entry of upstreams for the CA, in YAML. What is not known has an example, and
// says so in a comment. Values of the directory are quoted: an account that may write there
// must not write settings, and a CA may be called as a word of YAML is, such as null.
func (c Choice) Settings() string {
	name, template := c.settingsName(), "PortalUser"
	var b strings.Builder
	line := func(indent, key, value, comment string) {
		if comment != "" {
			comment = "   # " + comment
		}
		fmt.Fprintf(&b, "%s%s: %s%s\n", indent, key, value, comment)
	}
	b.WriteString("upstreams:\n")
	line("  - ", "name", quoted(name), "for good: it is in the records")
	e := Endpoint{Authentication: ClientCertificate, URL: "https://" + strings.ToLower(c.Host) + "/certsrv"}
	if usable := c.Usable(); len(usable) > 0 {
		e = usable[0]
		line("    ", "kind", "adcs", "")
		line("    ", "url", quoted(e.URL), "signs in with: "+e.Authentication.String())
		further := others(e, usable[1:])
		if len(further) > 0 {
			line("    ", "further_urls", "["+strings.Join(further, ", ")+"]", "while the first is away")
		}
	} else {
		line("    ", "kind", "certsrv", "no address of a web service (CES) that the portal can use is in the directory")
		line("    ", "url", quoted(e.URL), "if the role Web Enrollment is there")
	}
	line("    ", "chain", "/etc/certportal/"+name+"-chain.pem", "root and issuing CA")
	line("    ", "server_ca_file", "/etc/certportal/"+name+"-root.pem", "root of the server's TLS certificate; leave it out for a public one")
	for _, setting := range c.account(e.Authentication) {
		line("    ", setting[0], setting[1], setting[2])
	}
	comment := "make it: no template of this CA is good for the portal"
	if best, ok := c.Best(); ok {
		template, comment = best.Name, ""
	}
	line("    ", "template", quoted(template), comment)
	comment = "put the NetBIOS name of the domain of people here"
	if c.Domain != "" {
		comment = "of people, as in DOMAIN\\name"
	}
	line("    ", "domain", quoted(cmp.Or(c.Domain, "CORP")), comment)
	line("    ", "agent_certificate", "/etc/certportal/agent.pem", "of the enrolment agent")
	line("    ", "agent_key", "/etc/certportal/agent.key", "")
	b.WriteString("# certificates:\n")
	line("#   ", "issuer", quoted(name), "last, when it passed: certportal upstream test "+name+" --person UPN")
	return b.String()
}

// account gives the settings by which the portal signs in, each with its comment.
func (c Choice) account(a Authentication) [][3]string {
	switch a {
	case ClientCertificate:
		return [][3]string{{"certificate", "/etc/certportal/svc-portal.pem", "of the portal's account"}, {"key", "/etc/certportal/svc-portal.key"}}
	case Kerberos:
		_, realm, _ := strings.Cut(strings.ToUpper(c.Host), ".")
		return [][3]string{
			{"user", quoted("svc-portal@" + cmp.Or(realm, "CORP.EXAMPLE")), "the portal's account, and its domain in capitals"},
			{"keytab_file", "/etc/certportal/svc-portal.keytab"},
		}
	}
	return [][3]string{
		{"user", quoted(cmp.Or(c.Domain, "CORP") + `\svc-portal`), "the portal's account"}, {"password_file", "/etc/certportal/svc-portal.password"},
	}
}

// others are further addresses where clients sign in alike, quoted, in their order.
func others(first Endpoint, rest []Endpoint) []string {
	var further []string
	for _, e := range rest {
		if e.Authentication == first.Authentication && e.URL != first.URL && !slices.Contains(further, quoted(e.URL)) {
			further = append(further, quoted(e.URL))
		}
	}
	return further
}

// settingsName makes a name of the form of upstreams of that of the CA.
func (c Choice) settingsName() string {
	var b strings.Builder
	for _, r := range strings.ToLower(c.Name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := b.String()
	if len(name) > 31 {
		name = name[:31]
	}
	return cmp.Or(strings.Trim(name, "-"), "company")
}

// quoted writes a value as a scalar of YAML with single quotes, which have one escape. Line
// breaks and other controls, which they cannot hold, are spaces.
func quoted(value string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return ' '
		}
		return r
	}, value)
	return "'" + strings.ReplaceAll(clean, "'", "''") + "'"
}

// Survey is what an administrator chooses from.
type Survey struct {
	Choices    []Choice
	Unreadable []string // entries that could not be read
}

// Survey judges the forest by what the portal needs.
func (f Forest) Survey(n Needs) Survey { return Survey{f.Choices(n), f.Unreadable} }
