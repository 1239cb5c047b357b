package page

import "time"

// Help is /help: how to reach the helpdesk, and the questions asked most.
type Help struct{ Layout }

func (Help) name() string { return "help" }

// Anchors is /ca: the certificates to trust, for anyone, with the way to install
// them on each platform.
type Anchors struct {
	Layout
	Platform string // whose steps are shown; chosen by ?p=
	Items    []AnchorItem
	ChainPEM string // address of all own certificates as PEM
	ChainP7B string // the same as PKCS#7
}

func (Anchors) name() string { return "anchors" }

// AnchorItem is one certificate of /ca.
type AnchorItem struct {
	Name        string
	Subject     string
	Fingerprint string // SHA-256 as hexadecimal pairs with colons
	NotAfter    time.Time
	Own         bool   // of this portal, not a further root
	Issuing     bool   // signs certificates, is not a root to trust
	HrefCER     string // address of the DER file
	HrefPEM     string // address of the PEM file
}
