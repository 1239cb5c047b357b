package config

import (
	"time"

	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/signin"
)

// DirectorySettings say where people come from.
type DirectorySettings struct {
	// Kind of directory: builtin (accounts made with "certportal user add"),
	// active-directory, or ldap (OpenLDAP and others).
	Kind string `yaml:"kind"`

	// DNS domain of the people. With the built-in directory: of the user principal
	// names of people added without one. With Active Directory: the domain that is
	// added to a login name without one, such as corp.example.
	Domain string `yaml:"domain"`

	// Servers in the order they are asked; the next one when one does not answer.
	// ldaps://dc1.corp.example, or ldap://dc1.corp.example, which is raised to TLS
	// with StartTLS before anything is said. The name must stand in the server's
	// certificate.
	Servers []string `yaml:"servers"`

	// File with the CA certificates (PEM or DER) that sign the servers'
	// certificates. Default: the CAs this machine trusts.
	CAFile string `yaml:"ca_file"`

	// Account the portal reads with, as certportal@corp.example, CORP\certportal or
	// a distinguished name. It needs no right but to read.
	User string `yaml:"user"`

	// File with its password. Default: the systemd credential directory-password.
	PasswordFile string `yaml:"password_file"`

	// Where people are looked for, such as OU=Staff,DC=corp,DC=example. Default
	// with Active Directory: the whole domain.
	Base string `yaml:"base"`

	// Where groups are looked for; ldap only. Default: base.
	GroupBase string `yaml:"group_base"`

	// Name before the backslash in CORP\anna. Default with Active Directory: read
	// from the server.
	NetBIOS string `yaml:"netbios"`

	// Suffixes a user principal name may have. A person with another gets no
	// certificate. Default: domain alone.
	UPNSuffixes []string `yaml:"upn_suffixes"`

	// Servers of the global catalog, such as ldaps://dc1.corp.example:3269. With
	// more than one domain in the forest they prove a UPN unique in all of it.
	GlobalCatalog []string `yaml:"global_catalog"`

	// Let people sign in with their mail address too.
	LoginByMail bool `yaml:"login_by_mail"`

	// Longest wait for an answer, over all servers together.
	Timeout time.Duration `yaml:"timeout"`

	Groups     GroupSettings     `yaml:"groups"`
	Attributes AttributeSettings `yaml:"attributes"`
	Watch      WatchSettings     `yaml:"watch"`

	// Let protected people (domain administrators and the like) have certificates.
	// Control of such a phone is then control of the domain.
	InsecureEnrollProtected bool `yaml:"insecure_enroll_protected"`
}

// GroupSettings name groups by distinguished name in quotes or, with Active Directory, by
// SID, which survives renaming: [S-1-5-21-1-2-3-1104, 'CN=IT,OU=Staff,DC=corp,DC=example'].
// A plain name is for enroll: others can take the name of a group that is gone or, in LDAP,
// use it too. "config check" prints distinguished name and SID of each. Members of members count. In
// an environment variable a semicolon separates two.
type GroupSettings struct {
	// Groups whose members may have certificates. Default: all people.
	Enroll []string `yaml:"enroll" envSeparator:";"`

	// Name of that group for people, on the page that says to ask for it.
	EnrollName string `yaml:"enroll_name"`

	// Whose members are helpdesk.
	Helpdesk []string `yaml:"helpdesk" envSeparator:";"`

	// Whose members read everything and change nothing.
	Auditor []string `yaml:"auditor" envSeparator:";"`

	// Whose members are administrators of the portal.
	Admin []string `yaml:"admin" envSeparator:";"`

	// Whose members are protected, besides the domain's own administrators: they
	// get no certificate, and helpdesk cannot act for them.
	Protected []string `yaml:"protected" envSeparator:";"`
}

// AttributeSettings name what is read of an entry; with kind ldap. Active Directory has its
// own names, but for phone and manager.
type AttributeSettings struct {
	// Which entries are people. An entry that leaves the filter counts as deleted. Default:
	// (objectClass=inetOrgPerson)
	PersonFilter string `yaml:"person_filter"`

	// What never changes. Default: entryUUID
	ID string `yaml:"id"`

	// Login name. Default: uid
	Login string `yaml:"login"`

	// User principal name; required with kind ldap, there is no default. A single value
	// that people cannot change themselves, such as userPrincipalName.
	UPN string `yaml:"upn"`

	// Windows security identifier in text, such as sambaSID. Default: none
	SID string `yaml:"sid"`

	// E-mail address. Default: mail
	Mail string `yaml:"mail"`

	// Display name. Default: cn
	Name string `yaml:"name"`

	// First name. Default: givenName
	GivenName string `yaml:"given_name"`

	// Number of the employee. Default: employeeNumber
	EmployeeNumber string `yaml:"employee_number"`

	// Department. Default: departmentNumber
	Department string `yaml:"department"`

	// Telephone number, which the helpdesk sees for calling back, also with
	// active-directory. Best one that people cannot change themselves. Default:
	// telephoneNumber
	Phone string `yaml:"phone"`

	// Distinguished name of the manager, whose name the helpdesk sees, also with
	// active-directory. Default: manager
	Manager string `yaml:"manager"`

	// Of a group: the distinguished names of its members. Default: member
	Member string `yaml:"member"`
}

// WatchSettings rule how certificates follow the directory.
type WatchSettings struct {
	// How often all holders of certificates are compared with the directory.
	Every time.Duration `yaml:"every"`

	// How long an account must be switched off, run out or gone before its
	// certificates are revoked.
	Grace time.Duration `yaml:"grace"`

	// Percent of all holders: when more change within a day, the watch stops,
	// raises an alarm and revokes nothing.
	SharePercent int `yaml:"share_percent"`

	// What happens to the certificates of people who become protected: revoke, after
	// the grace period, or alarm, which only records and reports it.
	Protected string `yaml:"protected"`
}

// SignInSettings bound wrong passwords. The portal stays below the directory's
// own lock: with Active Directory it reads the lockout policy and tightens these.
type SignInSettings struct {
	// Wrong passwords of one account before a pause. Browsers in which the person signed
	// in before, and living sessions, have tries of their own. All together stay below the
	// directory's lock.
	Tries int `yaml:"tries"`

	// Wrong passwords from one network address in the window; an office shares one. When
	// they are used up they come back one by one.
	TriesPerAddress int `yaml:"tries_per_address"`

	// How long tries are counted, and how long a pause lasts.
	Window time.Duration `yaml:"window"`
}

// OpenIDSettings let people sign in at an identity provider (Entra ID, AD FS,
// Keycloak) instead. The content of a certificate still comes from the directory.
type OpenIDSettings struct {
	// Issuer address, such as https://login.microsoftonline.com/TENANT/v2.0. Empty:
	// no such sign-in.
	Issuer string `yaml:"issuer"`

	// Client id this portal has there; its redirect address is public_url and
	// /login/callback.
	ClientID string `yaml:"client_id"`

	// File with the client secret. Default: the systemd credential openid-secret;
	// with neither the portal is a public client.
	ClientSecretFile string `yaml:"client_secret_file"`

	// What people call it, on the button.
	Name string `yaml:"name"`

	// Further scopes to ask for, besides openid.
	Scopes []string `yaml:"scopes"`

	// Claim that holds the objectSid, such as onprem_sid (Entra ID) or primarysid
	// (AD FS).
	SIDClaim string `yaml:"sid_claim"`

	// Claim that holds the user principal name. Name only claims that people
	// cannot change themselves: never e-mail.
	UPNClaim string `yaml:"upn_claim"`

	// File with the CA certificates that sign the provider's TLS certificate.
	// Default: the CAs this machine trusts.
	CAFile string `yaml:"ca_file"`

	// The only way in: no form for name and password.
	Only bool `yaml:"only"`
}

// The kinds of directory.
const (
	KindBuiltin         = "builtin"
	KindActiveDirectory = string(directory.ActiveDirectory)
	KindLDAP            = string(directory.PlainLDAP)
)

// builtinDomain is the domain of people of the built-in directory where no
// setting says otherwise. No real domain is called so.
const builtinDomain = "portal.example"

// DefaultDirectory is the built-in directory.
func DefaultDirectory() DirectorySettings {
	return DirectorySettings{
		Kind: KindBuiltin, Domain: builtinDomain, Timeout: 5 * time.Second,
		Watch: WatchSettings{
			Every: drift.DefaultEvery, Grace: drift.DefaultGrace, SharePercent: int(100 * drift.DefaultShare),
			Protected: string(drift.ProtectedRevoke),
		},
	}
}

func defaultSignIn() SignInSettings {
	return SignInSettings{
		Tries: signin.DefaultTries, TriesPerAddress: signin.DefaultAddressTries, Window: signin.DefaultWindow,
	}
}
