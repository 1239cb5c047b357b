package revoker

import (
	_ "embed"

	"certportal/internal/powershell"
)

//go:embed script.ps1
var source string

// Installation is what the script holds of one portal.
type Installation struct {
	Organization string
	Portal       string // https address at which revokers ask
	CA           string // name in the settings
}

// Script makes the PowerShell script of a revoker. Every value of the installation is a quoted
// literal.
func Script(i Installation) ([]byte, error) {
	return powershell.Script(source, map[string]any{
		"Organization": powershell.Comment(i.Organization), "Portal": powershell.Quote(i.Portal), "Authority": powershell.Quote(i.CA),
		"Path": Path, "Most": Most,
	})
}
