package config

// ExchangeSettings name the Exchange server whose mailboxes open with a
// certificate. With a host, Apple profiles set the mailbox up, and the pages say
// how other mail apps do.
type ExchangeSettings struct {
	// Name phones reach it under, with :PORT when that is not 443, such as
	// mail.corp.example. Empty: profiles hold no mailbox, pages promise none.
	Host string `yaml:"host"`

	// Name phones sign in with: upn, mail for the e-mail address, or domain for
	// DOMAIN\user, where Exchange takes no other.
	UserName string `yaml:"user_name"`

	// The part before the backslash with user_name: domain, such as CORP.
	// Default: directory.netbios
	Domain string `yaml:"domain"`

	// Days of mail a phone fetches: 1, 3, 7, 14 or 31; 0 is all.
	SyncDays int `yaml:"sync_days"`

	// Sign all mail with the certificate (S/MIME).
	SMIMESign bool `yaml:"smime_sign"`

	// Read encrypted mail with the certificate, and offer to encrypt. A renewed
	// certificate cannot read what was encrypted for the one before.
	SMIMEEncrypt bool `yaml:"smime_encrypt"`
}

// SCEPSettings let phones make their own key.
type SCEPSettings struct {
	// Offer it: iPhones and iPads then get a profile without a key in it, make the
	// key themselves and fetch the certificate from this portal: over https when
	// tls.certificate is set, else over the plain-http address. No real iPhone was
	// tried yet.
	Enabled bool `yaml:"enabled"`
}

// AppleSettings say what the profiles for iPhone, iPad and Mac contain.
type AppleSettings struct {
	// What the identifiers of all profiles begin with, in reverse DNS form, such as
	// example.corp.certificates. It must never change: a device takes a profile
	// with another one for another profile. Default: the host of public_url,
	// reversed.
	Identifier string `yaml:"identifier"`

	// Name on the screen that asks whether to install. Default: organization.
	Organization string `yaml:"organization"`

	// Remove a profile, its mailbox included, when its certificate ends.
	RemoveAtEnd bool `yaml:"remove_at_end"`

	// Certificate chain in PEM that signs the profiles; iPhones show "Verified" for
	// one of a public CA. Default: the portal's TLS certificate.
	SignerCertificate string `yaml:"signer_certificate"`

	// Its private key in PEM.
	SignerKey string `yaml:"signer_key"`
}
