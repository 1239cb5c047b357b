package page

// CSRForm is the folded part of /new for people who made a key themselves. It
// posts name, platform, csr and request to /new/key; its mistakes are those of
// NewDevice at "key-name" and "csr".
type CSRForm struct {
	Open    bool   // unfolded; the mistakes of the page are of this form
	Name    string // as it was typed
	Request string // as it was pasted
	Token   string // idempotency token, sent along as "request"
}

// csrOpen reports whether the mistakes of the page are of the folded form.
func (p NewDevice) csrOpen() bool { return p.CSR != nil && p.CSR.Open }

// KeyName is the value of the name field of the folded form.
func (p NewDevice) KeyName() string {
	if p.csrOpen() && len(p.Errors) > 0 {
		return p.CSR.Name
	}
	return p.Suggested
}

// CSRDevice is /devices/{id}/install of a device whose person has the key: the
// certificate, without a password. Without addresses the certificate has ended.
type CSRDevice struct {
	Layout
	Device  DeviceCard
	PEM     string // address of certificate and chain
	DER     string // address of the certificate alone
	SavedAs string // name the browser gives the first of the two, for a command
	Limited bool   // a phone's session, which brings no other request
}

func (CSRDevice) name() string { return "csrdevice" }

// ShellName is SavedAs as a word of a shell command.
func (p CSRDevice) ShellName() string { return shellWord(p.SavedAs) }
