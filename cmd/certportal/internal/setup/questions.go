package setup

import "strings"

// answers are by the key of the setting, or of what is no setting (ca.kind).
type answers map[string]string

// caKind is no setting: it decides what the next step is.
const caKind = "ca.kind"

// anchors is a list of sections with name and file; setup asks for one file.
const anchors = "anchors"

// topic is a group of questions that are tried together.
type topic struct {
	title     string
	part      string // of the checks; empty: none
	questions []question
}

// question is one answer that setup needs.
type question struct {
	key      string
	flag     string
	ask      string
	standard string // what an empty line means; with optional unset an empty answer is wrong
	optional bool
	number   bool
	list     bool   // words with commas
	parts    string // separates the entries of a list; default a comma
	secret   string // name of the file that a typed password goes to
	when     func(answers) bool
	comment  string // in the file
	choices  []string
	prefix   string // put in front of a bare name
	file     bool   // the answer is the name of one that the service must be able to read
}

// elsewhere reports whether people come from a directory of the company.
func elsewhere(a answers) bool { return a["directory.kind"] != "builtin" }

func isLDAP(a answers) bool { return a["directory.kind"] == "ldap" }

func set(key string) func(answers) bool { return func(a answers) bool { return a[key] != "" } }

// topics are the questions in the order they are asked. A service may have ports below
// 1024.
func topics(service bool) []topic {
	https, http := ":8443", ":8080"
	if service {
		https, http = ":443", ":80"
	}
	return []topic{
		{title: "Names", part: "names", questions: []question{
			{key: "organization", flag: "organization", ask: "Name of the company, on every page and in the names of the CA, such as Contoso", comment: "On every page and in the names of the CA."},
			{key: "public_url", flag: "public-url", prefix: "https://", ask: "Address of the portal, as people type it, such as https://certificates.corp.example", comment: "As people type it."},
			{key: "public_http_url", flag: "public-http-url", prefix: "http://", ask: "Address of the revocation lists: plain http, for years, on a host name of its own, such as http://pki.corp.example",
				comment: "Part of every certificate: mail servers fetch revocation lists here. Never change it."},
		}},
		{title: "Addresses of this machine", part: "ports", questions: []question{
			{key: "listen", flag: "listen", standard: https, ask: "Address and port of the portal (https)"},
			{key: "listen_http", flag: "listen-http", standard: http, ask: "Address and port of the revocation lists (plain http)"},
		}},
		tlsTopic(),
		directoryTopic(), mailTopic(),
		{title: "Database", part: "database", questions: []question{
			{key: "database_file", file: true, flag: "database-file", secret: "database", optional: true,
				ask:     "PostgreSQL address, for several portals, such as postgres://certportal:PASSWORD@db.corp.example/certportal?sslmode=verify-full; empty: a file in the data folder",
				comment: "File with the address of the database."},
		}},
		{title: "CA", questions: []question{
			{key: caKind, flag: "ca", standard: "own", choices: []string{"own", "company"}, ask: "CA: own, with a root of its own, or company, an issuing CA under the company's root"},
		}},
		{title: "Pages", questions: []question{
			{key: "pages.time_zone", flag: "time-zone", standard: "UTC", ask: "Time zone of pages and mail, such as Europe/Berlin"},
		}},
	}
}

func tlsTopic() topic {
	acme := set("tls.acme.directory")
	return topic{title: "TLS certificate of the portal", part: "tls", questions: []question{
		{key: "tls.certificate", file: true, flag: "tls-certificate", optional: true, ask: "File with the chain, from a CA that phones trust; empty: one by ACME, or the portal makes one, and browsers warn",
			comment: "The portal's own certificate first, then the CAs above it."},
		{key: "tls.key", file: true, flag: "tls-key", when: set("tls.certificate"), ask: "File with its key"},
		{key: "tls.acme.directory", flag: "acme-directory", optional: true, when: func(a answers) bool { return a["tls.certificate"] == "" },
			ask:     "ACME server that issues it, such as https://acme-v02.api.letsencrypt.org/directory for Let's Encrypt; empty: none",
			comment: "It fetches a token over plain http: port 80 of the portal's name must reach listen_http."},
		{key: "tls.acme.accept_terms", flag: "acme-accept-terms", number: true, when: acme, choices: []string{"true"}, ask: "Write true if you accept the terms of service of that server"},
		{key: "tls.acme.contact", flag: "acme-contact", optional: true, list: true, when: acme, ask: "Mail addresses for the account there, with commas; empty: none"},
		{key: "tls.acme.ca_file", file: true, flag: "acme-ca-file", optional: true, when: acme, ask: "File with the CA that signs its certificate; empty: those this machine trusts"},
		{key: anchors, file: true, flag: "anchor-file", optional: true, comment: "Roots that phones install with their certificate.",
			ask: "File with the root of the TLS certificates of portal and Exchange, if phones do not trust it by themselves; empty: none"},
	}}
}

func directoryTopic() topic {
	return topic{title: "People", part: "directory", questions: []question{
		{key: "directory.kind", flag: "directory", standard: "active-directory", choices: []string{"active-directory", "ldap", "builtin"},
			ask: "Where people come from: active-directory, ldap, or builtin, accounts of the portal's own"},
		{key: "directory.domain", flag: "domain", ask: "DNS domain of the people, such as corp.example"},
		{key: "directory.servers", flag: "servers", list: true, when: elsewhere, ask: "Servers with commas, such as ldaps://dc1.corp.example, ldaps://dc2.corp.example", prefix: "ldaps://"},
		{key: "directory.ca_file", file: true, flag: "directory-ca-file", optional: true, when: elsewhere, ask: "File with the CA that signs their certificates; empty: those this machine trusts"},
		{key: "directory.user", flag: "directory-user", when: elsewhere, ask: "Account the portal reads with, such as certportal@corp.example", comment: "It only reads."},
		{key: "directory.password_file", file: true, flag: "directory-password-file", secret: "directory-password", when: elsewhere, ask: "Its password"},
		{key: "directory.base", flag: "directory-base", when: isLDAP, ask: "Where people are, such as ou=people,dc=corp,dc=example"},
		{key: "directory.attributes.upn", flag: "upn-attribute", when: isLDAP, ask: "Attribute with the user principal name, which people cannot change themselves", comment: "People must not be able to change it themselves."},
		{key: "directory.upn_suffixes", flag: "upn-suffixes", list: true, optional: true, when: elsewhere, ask: "What user principal names end in, with commas; empty: the domain alone"},
		{key: "directory.groups.enroll", flag: "enroll-group", optional: true, list: true, parts: ";", when: elsewhere, ask: "Group whose members may have certificates, several with semicolons; empty: all people", comment: "Who may have certificates."},
		{key: "directory.groups.admin", flag: "admin-group", list: true, parts: ";", when: elsewhere, ask: "Group of the portal's administrators, by SID or distinguished name"},
	}}
}

func mailTopic() topic {
	mail := set("mail.host")
	return topic{title: "Mail", part: "mail", questions: []question{
		{key: "mail.host", flag: "mail-host", optional: true, ask: "Mail server, such as mail.corp.example; empty: no mail is sent"},
		{key: "mail.security", flag: "mail-security", standard: "starttls", when: mail, choices: []string{"starttls", "tls"}, ask: "Its protection: starttls, or tls from the first byte"},
		{key: "mail.port", flag: "mail-port", optional: true, number: true, when: mail, ask: "Its port; empty: 587, with tls 465"},
		{key: "mail.from", flag: "mail-from", when: mail, ask: "Sender, such as Corp Certificates <certificates@corp.example>"},
		{key: "mail.user", flag: "mail-user", optional: true, when: mail, ask: "Account to sign in with; empty: none is needed"},
		{key: "mail.password_file", file: true, flag: "mail-password-file", secret: "mail-password", when: set("mail.user"), ask: "Its password"},
		{key: "mail.ca_file", file: true, flag: "mail-ca-file", optional: true, when: mail, ask: "File with the CA that signs its certificate; empty: those this machine trusts"},
		{key: "mail.operators", flag: "operators", list: true, when: mail, ask: "Mail addresses of the portal's operators, with commas", comment: "They get mail when the portal needs help."},
	}}
}

// entries splits the answer of a list.
func (q question) entries(text string) []string {
	separator := q.parts
	if separator == "" {
		separator = ","
	}
	var list []string
	for part := range strings.SplitSeq(text, separator) {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, q.complete(part))
		}
	}
	return list
}

// complete puts the scheme in front of a bare name.
func (q question) complete(text string) string {
	if q.prefix == "" || text == "" || strings.Contains(text, "://") {
		return text
	}
	return q.prefix + text
}
