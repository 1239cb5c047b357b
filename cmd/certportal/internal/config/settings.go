// Package config holds the settings of the portal: their declaration, which is the
// manual, their defaults, loading from YAML and environment, and validation.
//
// A setting is a field of Settings or of a struct in it. Its comment becomes the text of
// "config example", its yaml tag the key, and the keys in capitals joined by "_" behind
// CERTPORTAL_ the environment variable. Secrets are read from files, systemd credentials
// or a prompt, and never from a setting itself.
package config

import (
	"path/filepath"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/enroll"
	"certportal/web"
)

// Settings is the whole configuration: one YAML file, every key also by an
// environment variable of the same name in capitals, CERTPORTAL_ in front and _
// for every dot (CERTPORTAL_CA_ROOT_KEY). The comments of this struct are the
// manual; "certportal config example" prints them with the defaults.
type Settings struct {
	// Folder for everything the portal keeps: database, CA, TLS certificate.
	Data string `yaml:"data"`

	// Name of the company, on every page and in the names of the CA.
	Organization string `yaml:"organization"`

	// Address and port of the portal (https).
	Listen string `yaml:"listen"`

	// Address and port for revocation lists and CA certificates (plain http, as
	// those who check certificates need it); everything else is sent on to https.
	ListenHTTP string `yaml:"listen_http"`

	// Address and port of the check page (https), where a phone shows its certificate and
	// reads whether it works. The browser asks for certificates there and nowhere else, so it
	// is not the port of the portal. Empty: none. When the default port is taken, the portal
	// runs without.
	ListenCheck string `yaml:"listen_check"`

	// Address and port (https) where the hosts of CAs that cannot be asked to revoke fetch
	// what to revoke, each with the TLS client certificate of upstreams.revoker_certificate.
	// No other client gets a connection. Empty: none.
	ListenRevoker string `yaml:"listen_revoker"`

	// Address and port for health and metrics: /healthz, /readyz and /metrics over
	// plain http, for every client that reaches it. Empty: none. When the default port is
	// taken, the portal runs without.
	ListenOps string `yaml:"listen_ops"`

	// How long a portal on PostgreSQL serves on after SIGTERM while /readyz is red, so
	// that a balancer takes it out before it closes its ports: 0s to 10s. A second SIGTERM
	// ends it at once. With SQLite no other portal takes over, and it does not wait.
	StopDelay time.Duration `yaml:"stop_delay"`

	// Address of the portal as people type it. Default: made from listen.
	// Example: https://certificates.corp.example
	PublicURL string `yaml:"public_url"`

	// Address of the check page as phones reach it. Default: the host of public_url with the
	// port of listen_check; with trusted_proxies none, so that pages do not link to it. Example: https://certificates.corp.example:8444
	PublicCheckURL string `yaml:"public_check_url"`

	// Header in which a reverse proxy that ends TLS for the check page sends the
	// certificate of the client, such as Client-Cert (RFC 9440). It counts only from
	// trusted_proxies, which must set or remove it in every request. Empty: the proxy
	// passes TLS through.
	CheckHeader string `yaml:"check_header"`

	// Plain-http address that goes into every certificate for revocation lists
	// and CA certificates: mail servers must reach it without a password, for as
	// long as certificates live. Default: made from listen_http.
	// Example: http://pki.corp.example
	PublicHTTPURL string `yaml:"public_http_url"`

	// Where records are kept: sqlite:FILE or postgres://USER@HOST/DATABASE.
	// Default: sqlite in the data folder.
	Database string `yaml:"database"`

	// File with the database address instead, when it holds a password.
	DatabaseFile string `yaml:"database_file"`

	// Name of this portal in the audit log, when several share a database. Default:
	// the name of the host.
	Node string `yaml:"node"`

	TLS          TLSSettings         `yaml:"tls"`
	CA           CASettings          `yaml:"ca"`
	Revocation   RevocationSettings  `yaml:"revocation"`
	Certificates CertificateSettings `yaml:"certificates"`
	Directory    DirectorySettings   `yaml:"directory"`
	SignIn       SignInSettings      `yaml:"sign_in"`
	OpenID       OpenIDSettings      `yaml:"openid"`
	Exchange     ExchangeSettings    `yaml:"exchange"`
	Apple        AppleSettings       `yaml:"apple"`
	SCEP         SCEPSettings        `yaml:"scep"`
	Helpdesk     HelpdeskSettings    `yaml:"helpdesk"`
	Admin        AdminSettings       `yaml:"admin"`
	Mail         MailSettings        `yaml:"mail"`
	Pages        PageSettings        `yaml:"pages"`
	Audit        AuditSettings       `yaml:"audit"`
	Backup       BackupSettings      `yaml:"backup"`

	// Further CA certificates that devices must trust, above all the root of
	// Exchange's server certificate. Each has a name and a file (PEM or DER).
	Anchors []AnchorSettings `yaml:"anchors"`

	// CAs that the portal does not run, which issue in the place of its own
	// (certificates.issuer) or did so before. Each needs name, kind, url and chain.
	Upstreams []UpstreamSettings `yaml:"upstreams"`

	// Networks of reverse proxies whose X-Forwarded-For is believed, such as
	// 10.0.0.0/24. Empty: none.
	TrustedProxies []string `yaml:"trusted_proxies"`

	// What is logged: debug, info, warn or error.
	LogLevel string `yaml:"log_level"`

	// How it is logged: text or json.
	LogFormat string `yaml:"log_format"`
}

// TLSSettings name the portal's own TLS certificate.
type TLSSettings struct {
	// Certificate chain in PEM, best from a public CA, so that phones show no
	// warning. Default: one from the embedded CA, renewed by itself.
	Certificate string `yaml:"certificate"`

	// Its private key in PEM.
	Key string `yaml:"key"`

	// Further names and IP addresses in the certificate from the embedded CA.
	Names []string `yaml:"names"`

	ACME ACMESettings `yaml:"acme"`
}

// CASettings describe the embedded CA. The kinds and lives matter when it is
// created, not later.
type CASettings struct {
	// Key of the root: rsa-3072, rsa-4096, ec-p256 or ec-p384.
	RootKey ca.KeyKind `yaml:"root_key"`

	// Key of the issuing CA, likewise.
	IssuingKey ca.KeyKind `yaml:"issuing_key"`

	// Name of an issuing CA under the company's root, for certportal ca csr, such
	// as CN=Corp Phones CA,O=Corp,C=DE. Default: made from organization.
	Subject string `yaml:"subject"`

	// File with the passphrase of the CA's keys, or the word prompt to be asked
	// at every start. Default: the systemd credential ca-passphrase, else a file
	// in the data folder, made at the first start.
	PassphraseFile string `yaml:"passphrase_file"`

	PKCS11 PKCS11Settings `yaml:"pkcs11"`
}

// PKCS11Settings name tokens in which the CA's keys are made. Keys that are there stay
// where they are. They need a certportal that was built with PKCS#11.
type PKCS11Settings struct {
	// Shared library of the HSM, such as /usr/lib/softhsm/libsofthsm2.so.
	Module string `yaml:"module"`

	// Label of the token for keys of issuing CAs. Empty: their keys are in files.
	IssuingToken string `yaml:"issuing_token"`

	// File with its PIN. Default: the systemd credential ca-issuing-pin.
	IssuingPINFile string `yaml:"issuing_pin_file"`

	// Label of the token for the root's key, which may be the same. Empty: a file.
	RootToken string `yaml:"root_token"`

	// File with its PIN. Default: the systemd credential ca-root-pin.
	RootPINFile string `yaml:"root_pin_file"`

	// Beginning of the labels of the keys, so that people see which portal made them.
	Label string `yaml:"label"`
}

// CertificateSettings describe the certificates people get.
type CertificateSettings struct {
	// Kind of key: rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384. Phones and
	// mail servers of every age take rsa-2048.
	Key ca.KeyKind `yaml:"key"`

	// Which CA issues: a name from upstreams. Empty: the portal's own.
	Issuer string `yaml:"issuer"`

	// Days a certificate is valid.
	Days int `yaml:"days"`

	// Its field "subject": upn (common name: the user principal name), display_name
	// (common name: the display name) or directory_name (the distinguished name of the
	// person's entry). Servers that map by common name, such as Z-Push and nginx, need
	// upn. A UPN of over 64 characters, the limit of a common name, gives way to the
	// display name. The UPN is in the subject alternative name in any case.
	Subject ca.SubjectForm `yaml:"subject"`

	// What it may be used for: clientAuth, emailProtection, efs.
	Usages []string `yaml:"usages"`

	// Devices a person may have working at the same time.
	Devices int `yaml:"devices"`

	// Certificates a person may ask for within an hour. Each that is replaced is
	// in the revocation list until its end.
	PerHour int `yaml:"per_hour"`

	// Days before its end from which on a person may renew a certificate, but not
	// before half of its life is over.
	RenewFromDays int `yaml:"renew_from_days"`

	// Days that the old certificate works on after a renewal, unless its person says
	// before that the new one works.
	OverlapDays int `yaml:"overlap_days"`

	// RSA keys made ahead in idle time, so that people do not wait for one.
	PreparedKeys int `yaml:"prepared_keys"`
}

// PageSettings give the pages the company's look.
type PageSettings struct {
	// Colour of buttons and links, as #rrggbb. Default: a calm blue.
	Accent string `yaml:"accent"`

	// Logo in the page header: a PNG file of at most 20 KB.
	Logo string `yaml:"logo"`

	// What a certificate opens, such as: mail and calendar. By language:
	// {en: mail and calendar, de: Mail und Kalender, zh-Hans: 邮件和日历}
	Services Text `yaml:"services"`

	// Where people change an expired work password.
	PasswordURL string `yaml:"password_url"`

	// Time zone of pages and mail, such as Europe/Berlin. Browsers with script show
	// their reader's own. Default: the zone of this machine, which is UTC in most
	// containers.
	TimeZone string `yaml:"time_zone"`
}

// AnchorSettings name one further CA certificate.
type AnchorSettings struct {
	// Name people see.
	Name string `yaml:"name"`

	// File with the certificate, PEM or DER.
	File string `yaml:"file"`
}

// Defaults are the settings of a run without a file.
func Defaults() Settings {
	return Settings{
		Data: "certportal-data", Organization: "Company",
		Listen: ":8443", ListenHTTP: ":8080", ListenOps: DefaultOps, ListenCheck: DefaultCheck, StopDelay: 5 * time.Second,
		CA: CASettings{RootKey: ca.RSA3072, IssuingKey: ca.RSA3072, PKCS11: PKCS11Settings{Label: "certportal"}},
		Certificates: CertificateSettings{
			Key: ca.RSA2048, Days: 365, Devices: enroll.DefaultQuota, PerHour: 30, PreparedKeys: 16,
			RenewFromDays: 60, OverlapDays: 7, Subject: ca.SubjectUPN,
			Usages: []string{"clientAuth", "emailProtection", "efs"},
		},
		Revocation: defaultRevocation(),
		Directory:  DefaultDirectory(), SignIn: defaultSignIn(), Helpdesk: defaultHelpdesk(), Mail: defaultMail(),
		OpenID:   OpenIDSettings{Name: "single sign-on", UPNClaim: "upn"},
		Exchange: ExchangeSettings{UserName: string(web.UserNameUPN), SyncDays: 7},
		Admin:    AdminSettings{SecondPerson: admin.DefaultSecondPerson},
		Backup:   defaultBackup(),
		Audit:    AuditSettings{SealEvery: auditmonitor.DefaultCheckpointEvery},
		LogLevel: "info", LogFormat: "text",
	}
}

// Path names a file in the data folder.
func (s *Settings) Path(parts ...string) string {
	return filepath.Join(append([]string{s.Data}, parts...)...)
}

// Validity is the life of a person's certificate.
func (s *Settings) Validity() time.Duration {
	return Days(s.Certificates.Days)
}

// Days is n days of 24 hours.
func Days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
