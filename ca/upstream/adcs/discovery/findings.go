package discovery

import (
	"slices"
	"strings"
	"time"

	"certportal/internal/portal"
)

// Level is how much a finding matters.
type Level int

// The levels.
const (
	Note     Level = iota + 1 // good to know
	Warning                   // some people will get no certificate
	Critical                  // the portal gets no certificate that it accepts, or the template is dangerous
)

// Finding is what an administrator should know about a template.
type Finding struct {
	Level           Level
	portal.Sentence // with the tab of the template's properties where it is set
}

// Needs is what the portal wants of a template.
type Needs struct {
	KeyBits  int           // of the RSA keys that the portal makes
	Validity time.Duration // of the profile; 0: not compared
	Slack    time.Duration // by how much the validity may differ
	Usages   []string      // extended key usages of the profile, as dotted numbers; none: not compared
	Agent    bool          // requests are signed by an enrolment agent
}

const (
	usageClientAuth   = "1.3.6.1.5.5.7.3.2"
	usageAny          = "2.5.29.37.0"
	usageServerAuth   = "1.3.6.1.5.5.7.3.1"
	usageRequestAgent = "1.3.6.1.4.1.311.20.2.1"
)

// Findings says what speaks against using the template for a portal, most important first.
func (t Template) Findings(n Needs) []Finding {
	findings := slices.Concat(t.nameFindings(n), t.usageFindings(n), t.issuanceFindings(n), t.keyFindings(n), t.validityFindings(n))
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Level - a.Level) })
	return findings
}

func (t Template) nameFindings(n Needs) []Finding {
	var f []Finding
	add := func(bad bool, level Level, key, text string) {
		if bad {
			f = append(f, Finding{level, portal.Sentence{Key: key, Text: text}})
		}
	}
	fromRequest := t.nameFlags&(nameFromRequest|altNameFromRequest) != 0
	add(t.flags&(flagMachine|flagCA) != 0, Critical, "template-machine", "The template is for computers or CAs. Duplicate the template User.")
	add(fromRequest && n.Agent, Critical, "template-open-names", "The template takes the names from the request (ESC1). Every account that may enrol can name itself an administrator. "+
		"On the tab Subject Name choose Build from this Active Directory information.")
	add(fromRequest && !n.Agent, Critical, "template-needed-names", "The template takes the names from the request (ESC1). Without an enrolment agent the portal needs that. "+
		"Give Enroll to the portal's account alone, or use an agent.")
	add(!fromRequest && !n.Agent, Critical, "template-own-names", "The template takes the names from the account that asks, which is the portal's. Give the portal an enrolment agent.")
	add(!fromRequest && t.nameFlags&altNameUPN == 0, Critical, "template-no-upn", "Certificates have no user principal name. Select it on the tab Subject Name.")
	add(t.nameFlags&(altNameDNS|altNameDomainDNS|nameDNS) != 0, Critical, "template-dns", "The template wants a DNS name, which people do not have. Clear it on the tab Subject Name.")
	add(t.nameFlags&(altNameMail|nameMail) != 0, Warning, "template-mail", "People without the attribute mail get no certificate (0x80094812). "+
		"Clear the e-mail boxes on the tab Subject Name, or fill the attribute.")
	add(t.enrollFlags&enrollNoSID != 0, Critical, "template-no-sid", "Certificates have no SID (ESC9). Domain controllers refuse them. "+
		"Clear CT_FLAG_NO_SECURITY_EXTENSION (0x80000) in msPKI-Enrollment-Flag.")
	return f
}

func (t Template) usageFindings(n Needs) []Finding {
	switch {
	case len(t.Usages) == 0 || t.Has(usageAny):
		return []Finding{{Critical, portal.Say("template-any-use", "Certificates may be used for everything (ESC2). On the tab Extensions name Client Authentication as application policy.")}}
	case t.Has(usageRequestAgent):
		return []Finding{{Critical, portal.Say("template-agent-use", "Certificates are those of enrolment agents (ESC3). Remove Certificate Request Agent on the tab Extensions.")}}
	case t.Has(usageServerAuth):
		return []Finding{{Critical, portal.Say("template-server-use", "Certificates can pass for servers. Remove Server Authentication on the tab Extensions.")}}
	case !t.Has(usageClientAuth):
		return []Finding{{Critical, portal.Say("template-no-client", "Certificates cannot sign people in. Add Client Authentication on the tab Extensions.")}}
	}
	if have, want := sorted(t.Usages), sorted(n.Usages); len(want) > 0 && !slices.Equal(have, want) {
		return []Finding{{Critical, portal.Say("template-usages", "Certificates have the usages %s, and the profile of the portal wants %s. "+
			"The portal refuses them. Set both alike, on the tab Extensions and in certificates.usages.", strings.Join(have, ", "), strings.Join(want, ", "))}}
	}
	return nil
}

func sorted(usages []string) []string { return slices.Sorted(slices.Values(usages)) }

func (t Template) issuanceFindings(n Needs) []Finding {
	var f []Finding
	if t.enrollFlags&enrollPending != 0 {
		f = append(f, Finding{Note, portal.Say("template-approval", "Every request waits for an officer of the CA (CA certificate manager approval, tab Issuance Requirements).")})
	}
	switch {
	case !n.Agent && t.Signatures > 0:
		f = append(f, Finding{Critical, portal.Say("template-agent-wanted", "Requests need the signature of an enrolment agent (tab Issuance Requirements), and the portal has none.")})
	case !n.Agent:
	case t.Version == 1:
		f = append(f, Finding{Note, portal.Say("template-old-version", "A template of version 1 accepts every enrolment agent that the CA allows. "+
			"Restrict the portal's on the CA's tab Enrollment Agents, or duplicate the template.")})
	case t.Signatures == 0:
		f = append(f, Finding{Critical, portal.Say("template-no-agent", "The template accepts no enrolment agent (0x80094806). "+
			"On the tab Issuance Requirements require one authorized signature with the application policy Certificate Request Agent.")})
	case t.Signatures > 1:
		f = append(f, Finding{Critical, portal.Say("template-signatures", "Requests need %d signatures, and the portal gives one. Change it on the tab Issuance Requirements.", t.Signatures)})
	case !slices.Contains(t.SignerUsages, usageRequestAgent):
		f = append(f, Finding{Critical, portal.Say("template-signer", "Signers need other application policies (%s). Choose Certificate Request Agent on the tab Issuance Requirements.", strings.Join(t.SignerUsages, ", "))})
	}
	return f
}

func (t Template) keyFindings(n Needs) []Finding {
	var f []Finding
	if t.KeyBits > n.KeyBits {
		f = append(f, Finding{Critical, portal.Say("template-key", "Keys need at least %d bits, and the portal makes %d (0x80094811). Change it on the tab Cryptography, or certificates.key.", t.KeyBits, n.KeyBits)})
	}
	if t.keyFlags&keyArchived != 0 {
		f = append(f, Finding{Critical, portal.Say("template-archive", "The CA wants to archive the key, which it does not get. Clear it on the tab Request Handling.")})
	}
	if t.keyFlags&keyAttested != 0 {
		f = append(f, Finding{Critical, portal.Say("template-attest", "The CA wants the key attested by a TPM, which phones do not have. Clear it on the tab Key Attestation.")})
	}
	return f
}

func (t Template) validityFindings(n Needs) []Finding {
	if n.Validity == 0 || (t.Validity-n.Validity).Abs() <= n.Slack {
		return nil
	}
	return []Finding{{Critical, portal.Say("template-validity", "Certificates are valid for %s, and the profile of the portal wants %s. "+
		"The portal refuses them. Set both alike, on the tab General and in certificates.days. The CA also shortens them to its own end and to its ValidityPeriod.", Words(t.Validity), Words(n.Validity))}}
}
