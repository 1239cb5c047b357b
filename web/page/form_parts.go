package page

// newFile is what the form "Get a new file" needs.
type newFile struct {
	ID, Token string
	Quiet     bool // something else on the page is more important
	Asks      bool // it would end the newest one, so another page asks first
}

// NewFile gathers what the form "Get a new file" needs.
func (v view) NewFile(id, token string, quiet bool) newFile {
	f := newFile{ID: id, Token: token, Quiet: quiet}
	switch p := v.page.(type) {
	case Install:
		f.Asks = p.Device.FileEnds
	case Device:
		f.Asks = p.Device.FileEnds
	case Trouble:
		f.Asks = p.Device.FileEnds
	case Home:
		f.Asks = p.This != nil && p.This.FileEnds
	}
	return f
}

// renewLink is what the button to the page of a renewal needs.
type renewLink struct {
	ID, Name string
	Quiet    bool // something else on the page is more important
}

// RenewLink gathers what the button to the page of a renewal needs.
func (v view) RenewLink(d DeviceCard) renewLink {
	return renewLink{ID: d.ID, Name: d.Name, Quiet: d.Fine() && !d.Outdated}
}

// trust is what the steps for a trust anchor need.
type trust struct {
	Platform string
	Full     bool // it vouches for servers, so iOS needs a further switch
}

// Trust gathers what the steps for a trust anchor need.
func (v view) Trust(platform string, full bool) trust {
	return trust{Platform: platform, Full: full}
}

// problemKeys are the catalogue keys of a problem: heading, what happened and
// means, what to do.
type problemKeys struct{ H1, What, Do string }

// ProblemKey returns the sentences of the problem. Some kinds have other sentences
// when more is known: the directory failed after the sign-in; the group has a name;
// people can sign in by password. The piece of a page that is a problem comes first.
func (v view) ProblemKey() problemKeys {
	p, ok := v.page.(Problem)
	if obstacle, is := v.P.(*Problem); is {
		p, ok = *obstacle, true
	}
	if !ok {
		return problemKeys{}
	}
	key := "problem." + string(p.Kind)
	switch {
	case p.Kind == Directory && p.SignedIn != "":
		key += ".inside"
	case p.Kind == NotAllowed && p.Detail != "":
		key += ".group"
	case p.Kind == Provider && p.SignIn == "":
		key += ".only"
	}
	return problemKeys{H1: key + ".h1", What: key + ".what", Do: key + ".do"}
}

// AskHelpdesk reports that only the helpdesk can help: the account is at fault,
// and trying again would not change that.
func (v view) AskHelpdesk() bool {
	p, ok := v.page.(Problem)
	if !ok {
		return false
	}
	switch p.Kind {
	case LinkBarred, Locked, Disabled, ExpiredAccount, NotAllowed, NoUPN, NoSID, BadIdentity, IssuerDenied,
		Restricted, Protected, Conflicting, UnknownPerson:
		return true
	}
	return false
}
