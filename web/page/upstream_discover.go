package page

// AdminDirectory is /admin/ca/directory: the CAs that Active Directory knows.
type AdminDirectory struct {
	Layout
	Off        bool   // the directory is no Active Directory
	Failed     string // why it could not be read, in English; empty when it was
	Choices    []AdminFoundCA
	Unreadable []string // entries that could not be read, in English
}

func (AdminDirectory) name() string { return "admindirectory" }

// AdminFoundCA is one CA.
type AdminFoundCA struct {
	ID         string // of its heading
	Name       string
	Config     string // as certutil wants it
	Endpoints  []AdminEndpoint
	Templates  []AdminTemplate // the best first
	Unknown    []string        // templates whose entries could not be read
	Unreadable []string        // what of its entry could not be read, in English
	Settings   string          // to copy
}

// AdminEndpoint is an address of a web service of a CA.
type AdminEndpoint struct {
	URL            string
	Authentication string // as Windows calls it
	State          string // key after "admin.discover.address."
}

// AdminTemplate is a certificate template with what speaks against it.
type AdminTemplate struct {
	Name        string
	DisplayName string
	Findings    []AdminFinding
}
