#requires -Version 3.0
<#
.SYNOPSIS
Sets up Exchange ActiveSync on this server for certificates of the portal, checks it, or undoes it.

.DESCRIPTION
Made by certportal for {{.Organization}}; it holds the CA certificates of this installation. Run it on every Exchange
server that phones reach, in an elevated Exchange Management Shell, for Exchange 2013, 2016, 2019 and Subscription Edition.
It changes the front end ("Default Web Site") only. What was set before the first change is kept in -StateFile.

.PARAMETER Check
Reads only, and reports each setting as right or wrong. The exit code is 1 when one is wrong.

.PARAMETER Mode
Pilot accepts certificates beside passwords, so that no phone is locked out. Required accepts certificates only.

.PARAMETER Undo
Puts back what was set before the first change. CA certificates stay published in Active Directory.

.PARAMETER PortalExport
CSV file of the portal's certificates (Administration, Export): lists the phones that -Mode Required would lock out.

.PARAMETER WithoutDirectory
Leaves the publication of the CA certificates in Active Directory to an enterprise administrator.

.PARAMETER WhatIf
Shows what would be changed, and changes nothing.
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High', DefaultParameterSetName = 'Apply')]
param(
    [Parameter(ParameterSetName = 'Check', Mandatory = $true)] [switch] $Check,
    [Parameter(ParameterSetName = 'Undo', Mandatory = $true)] [switch] $Undo,
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')]
    [ValidateSet('Pilot', 'Required')] [string] $Mode = 'Pilot',
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')] [string] $PortalExport,
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')] [switch] $WithoutDirectory,
    [string] $Server = $env:COMPUTERNAME,
    [string] $Site = 'Default Web Site',
    [string] $StateFile = (Join-Path $env:ProgramData 'certportal-exchange.json')
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# This installation. Place says where a certificate belongs: RootCA, SubCA (between), or
# NTAuthCA, the CA that issues.
$Portal = {{.Portal}}
$Authorities = @(
{{- range .Authorities}}
    @{ Place = {{.Place}}; Name = {{.Name}}; Thumbprint = {{.Thumbprint}}; Data = {{.Data}} }
{{- end}}
)
$Lists = @({{range $i, $l := .Lists}}{{if $i}}, {{end}}{{$l}}{{end}})

$Apphost = 'MACHINE/WEBROOT/APPHOST'
$Folder = "$Site/Microsoft-Server-ActiveSync"
$Mapping = 'system.webServer/security/authentication/clientCertificateMappingAuthentication'
$Access = 'system.webServer/security/access'
$Runtime = 'system.webServer/serverRuntime'
$Appcmd = Join-Path $env:windir 'system32\inetsrv\appcmd.exe'
$Bindings = @('0.0.0.0:443', '127.0.0.1:443')
$BindingKey = 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo'
$script:Wrong = 0
$script:Changed = $false

function Show-Result([string] $State, [string] $What, [string] $Text) {
    $color = @{ right = 'Green'; wrong = 'Red'; warning = 'Yellow'; changed = 'Cyan' }[$State]
    Write-Host ('{0,-8} {1}: {2}' -f $State, $What, $Text) -ForegroundColor $color
    if ($State -eq 'wrong') { $script:Wrong++ }
}

# Invoke-Program runs a program and stops when it fails.
function Invoke-Program([string] $Program, [string[]] $Arguments) {
    $output = & $Program @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { throw ('{0} {1} ended with {2}: {3}' -f $Program, ($Arguments -join ' '), $LASTEXITCODE, $output.Trim()) }
    return $output
}

# Resolve-Setting reports a setting, and sets it where that is wanted.
function Resolve-Setting([string] $What, [scriptblock] $Test, [string] $Want, [scriptblock] $Set) {
    $found = [string](& $Test)
    if ($found -eq $Want) {
        Show-Result 'right' $What $found
        return
    }
    if ($Check) {
        Show-Result 'wrong' $What ('is {0}, should be {1}' -f $found, $Want)
        return
    }
    if (-not $PSCmdlet.ShouldProcess($Server, ('{0}: change {1} to {2}' -f $What, $found, $Want))) { return }
    Save-State
    & $Set
    $script:Changed = $true
    $now = [string](& $Test)
    if ($now -ne $Want) {
        Show-Result 'wrong' $What ('is still {0} after the change, should be {1}' -f $now, $Want)
        return
    }
    Show-Result 'changed' $What ('{0}, was {1}' -f $now, $found)
}

function Get-Setting([string] $Filter, [string] $Name, [string] $Location) {
    $arguments = @{ PSPath = $Apphost; Filter = $Filter; Name = $Name }
    if ($Location) { $arguments.Location = $Location }
    $value = Get-WebConfigurationProperty @arguments
    if ($null -ne $value -and $value.PSObject.Properties['Value']) { $value = $value.Value }
    return [string]$value
}

function Set-Setting([string] $Filter, [string] $Name, [string] $Value, [string] $Location) {
    $arguments = @('set', 'config')
    if ($Location) { $arguments += "$Location/" }
    $arguments += @("-section:$Filter", "/${Name}:$Value", '/commit:apphost')
    Invoke-Program $Appcmd $arguments | Out-Null
}

# Format-Flag puts flags into one order, so that they compare.
function Format-Flag([string] $Flags) {
    return (($Flags -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ -and $_ -ne 'None' } | Sort-Object) -join ',')
}

function Get-Folder {
    return Get-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)"
}

# Get-Binding reads what HTTP.sys keeps about an address, in any language of Windows. Bits of
# DefaultFlags: 1 the mapper of the directory, 2 asks in the handshake, 16 no HTTP/2, 64 no TLS 1.3.
function Get-Binding([string] $Address) {
    $key = Join-Path $BindingKey $Address
    if (-not (Test-Path -LiteralPath $key)) { return $null }
    return Get-ItemProperty -LiteralPath $key
}

function Set-Binding([string] $Address, [int] $Flags) {
    $binding = Get-Binding $Address
    $hash = ($binding.SslCertHash | ForEach-Object { '{0:x2}' -f $_ }) -join ''
    $store = 'MY'
    if ($binding.PSObject.Properties['SslCertStoreName']) { $store = $binding.SslCertStoreName }
    $switch = @{ $true = 'enable'; $false = 'disable' }
    $arguments = @('http', 'add', 'sslcert', "ipport=$Address", "certhash=$hash", "appid=$($binding.AppId)", "certstorename=$store",
        "dsmapperusage=$($switch[($Flags -band 1) -ne 0])", "clientcertnegotiation=$($switch[($Flags -band 2) -ne 0])")
    if ($Newer) {
        $arguments += "disablehttp2=$($switch[($Flags -band 16) -ne 0])"
        $arguments += "disabletls13=$($switch[($Flags -band 64) -ne 0])"
    }
    Invoke-Program 'netsh.exe' @('http', 'delete', 'sslcert', "ipport=$Address") | Out-Null
    Invoke-Program 'netsh.exe' $arguments | Out-Null
}

# Save-State keeps what was set before the first change. A file that is there stays.
function Save-State {
    if (Test-Path -LiteralPath $StateFile) { return }
    $directory = Get-Folder
    $flags = @{}
    foreach ($address in $Bindings) {
        $binding = Get-Binding $address
        if ($null -ne $binding) { $flags[$address] = [int]$binding.DefaultFlags }
    }
    $state = @{
        Server = $Server; Site = $Site; Saved = (Get-Date).ToUniversalTime().ToString('s') + 'Z'
        Feature = [bool](Get-WindowsFeature Web-Client-Auth).Installed
        ServerMapping = Get-Setting $Mapping 'enabled'; FolderMapping = Get-Setting $Mapping 'enabled' $Folder
        SslFlags = Get-Setting $Access 'sslFlags' $Folder; ReadAhead = Get-Setting $Runtime 'uploadReadAheadSize' $Folder
        Basic = [bool]$directory.BasicAuthEnabled; Windows = [bool]$directory.WindowsAuthEnabled; ClientCert = [string]$directory.ClientCertAuth
        Bindings = $flags
    }
    $state | ConvertTo-Json | Set-Content -LiteralPath $StateFile -Encoding UTF8
    Write-Host "What was set before is in $StateFile."
}

function Restore-State {
    if (-not (Test-Path -LiteralPath $StateFile)) { throw "$StateFile is not there: this script has changed nothing on this server, or another -StateFile was given." }
    $state = Get-Content -LiteralPath $StateFile -Raw -Encoding UTF8 | ConvertFrom-Json
    if ($state.Server -ne $Server -or $state.Site -ne $Site) { throw "$StateFile belongs to $($state.Server), $($state.Site)." }
    if (-not $PSCmdlet.ShouldProcess($Server, "put back the settings from before $($state.Saved)")) { return }
    Set-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)" -BasicAuthEnabled $state.Basic -WindowsAuthEnabled $state.Windows -ClientCertAuth $state.ClientCert -Confirm:$false
    Set-Setting $Mapping 'enabled' $state.FolderMapping $Folder
    Set-Setting $Access 'sslFlags' $state.SslFlags $Folder
    Set-Setting $Runtime 'uploadReadAheadSize' $state.ReadAhead $Folder
    Set-Setting $Mapping 'enabled' $state.ServerMapping
    foreach ($saved in $state.Bindings.PSObject.Properties) {
        if ($null -ne (Get-Binding $saved.Name)) { Set-Binding $saved.Name $saved.Value }
    }
    if (-not $state.Feature) { Write-Host 'The feature Web-Client-Auth stays installed; Uninstall-WindowsFeature Web-Client-Auth removes it.' }
    Move-Item -LiteralPath $StateFile -Destination "$StateFile.undone" -Force
    $script:Changed = $true
    Write-Host 'The settings from before are back. The CA certificates stay published in Active Directory:'
    Write-Host 'an enterprise administrator removes them with "certutil -viewdelstore" (see docs/exchange.md).'
}

# Test-Published says where a certificate is missing on this server: the computer's copy of the
# directory's store, which group policy refreshes within eight hours.
function Test-Published($Authority) {
    $store = @{ NTAuthCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\NTAuth\Certificates'
        RootCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates'
        SubCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\CA\Certificates' }[$Authority.Place]
    if (Test-Path -LiteralPath (Join-Path $store $Authority.Thumbprint)) { return 'published' }
    return 'not published'
}

function Publish-Authority($Authority) {
    $file = Join-Path $env:TEMP ('certportal-{0}.cer' -f $Authority.Thumbprint)
    [System.IO.File]::WriteAllBytes($file, [System.Convert]::FromBase64String($Authority.Data))
    try {
        Invoke-Program 'certutil.exe' @('-dspublish', '-f', $file, $Authority.Place) | Out-Null
        if ($Authority.Place -eq 'NTAuthCA') { Invoke-Program 'certutil.exe' @('-dspublish', '-f', $file, 'SubCA') | Out-Null }
        Invoke-Program 'certutil.exe' @('-pulse') | Out-Null
        for ($i = 0; $i -lt 30 -and (Test-Published $Authority) -ne 'published'; $i++) { Start-Sleep -Seconds 2 }
    } finally {
        Remove-Item -LiteralPath $file
    }
}

# Test-List fetches a revocation list as the machine does, without a person's proxy password.
function Test-List([string] $Address) {
    $result = Join-Path $env:ProgramData ('certportal-{0}.txt' -f [guid]::NewGuid())
    $command = 'try { $r = Invoke-WebRequest -UseBasicParsing -MaximumRedirection 0 -TimeoutSec 20 -Uri ''' + ($Address -replace "['\u2018-\u201b]", '$0$0') + '''; "fetched " + $r.RawContentLength + " bytes" } catch { $_.Exception.Message }'
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes("& { $command } | Set-Content -Encoding UTF8 -LiteralPath '$($result -replace "'", "''")'"))
    $name = 'certportal list check'
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument "-NoProfile -NonInteractive -EncodedCommand $encoded"
    $principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount
    try {
        Register-ScheduledTask -TaskName $name -Action $action -Principal $principal -Force | Out-Null
        Start-ScheduledTask -TaskName $name
        for ($i = 0; $i -lt 30; $i++) {
            Start-Sleep -Seconds 1
            if ((Test-Path -LiteralPath $result) -and (Get-ScheduledTask -TaskName $name).State -ne 'Running') { break }
        }
        if (-not (Test-Path -LiteralPath $result)) { return 'no answer within 30 seconds' }
        return (Get-Content -LiteralPath $result -Raw).Trim()
    } finally {
        Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue
        Remove-Item -LiteralPath $result -ErrorAction SilentlyContinue
    }
}

# Show-Warning reports what this script leaves alone.
function Show-Warning {
    foreach ($name in 'Autodiscover', 'EWS', 'OAB', 'mapi', 'owa', 'ecp', 'Rpc', 'PowerShell') {
        $flags = Get-Setting $Access 'sslFlags' "$Site/$name"
        if ($flags -match 'Cert') { Show-Result 'warning' $name "asks for client certificates too ($flags): Outlook and browsers there then need one" }
    }
    $token = Get-Setting 'system.webServer/security/authentication/windowsAuthentication/extendedProtection' 'tokenChecking' $Folder
    if ($token -eq 'Require') { Show-Result 'warning' 'Extended Protection' 'is required for ActiveSync: a load balancer that ends TLS breaks it' }
    foreach ($address in $Bindings) {
        if ($null -eq (Get-Binding $address)) { Show-Result 'warning' $address 'has no certificate binding: Exchange usually has both' }
    }
}

# Show-LockedOut lists phones whose owner has no working certificate in the portal's export.
function Show-LockedOut {
    $known = @{}
    foreach ($row in Import-Csv -LiteralPath $PortalExport -Encoding UTF8) { if ($row.status -in 'notdownloaded', 'downloaded', 'works', 'endssoon') { $known[$row.upn.ToLowerInvariant()] = $true } }
    if ($known.Count -eq 0) { throw "$PortalExport names no working certificate: export the certificates of the portal, all of them." }
    $left = 0
    foreach ($mailbox in Get-CASMailbox -ResultSize Unlimited -Filter 'HasActiveSyncDevicePartnership -eq $true') {
        if ($mailbox.Name -like 'CAS_{*') { continue }
        $upn = (Get-User -Identity $mailbox.DistinguishedName).UserPrincipalName
        if ($known[$upn.ToLowerInvariant()]) { continue }
        foreach ($phone in Get-MobileDevice -Mailbox $mailbox.DistinguishedName) {
            $left++
            Show-Result 'warning' 'would be locked out' ('{0}, {1}' -f $upn, $phone.FriendlyName)
        }
    }
    Write-Host "$left phones would be locked out by -Mode Required."
}

if (-not ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'Run this in an elevated Exchange Management Shell (Run as administrator).'
}
if (-not (Get-Command Set-ActiveSyncVirtualDirectory -ErrorAction SilentlyContinue)) {
    throw 'The Exchange cmdlets are missing: run this in the Exchange Management Shell, on the Exchange server.'
}
Import-Module WebAdministration
$Newer = [Environment]::OSVersion.Version.Build -ge 20348 # Server 2022 and later speak TLS 1.3
Write-Host "certportal $Portal, $Server, $Site"

if ($Undo) {
    Restore-State
} else {
    if (-not $WithoutDirectory) {
        foreach ($authority in $Authorities) {
            Resolve-Setting ('{0} in {1}' -f $authority.Name, $authority.Place) { Test-Published $authority } 'published' { Publish-Authority $authority }
        }
    }
    foreach ($address in $Lists) {
        $answer = Test-List $address
        if ($answer -like 'fetched *') { Show-Result 'right' $address $answer } else { Show-Result 'wrong' $address "the machine cannot fetch the revocation list: $answer" }
    }
    if ($script:Wrong -gt 0 -and $Mode -eq 'Required' -and -not $Check) {
        throw 'Nothing else was changed: without the CA certificates and the revocation lists Exchange would refuse every phone.'
    }
    $required = $Mode -eq 'Required'
    Resolve-Setting 'feature Web-Client-Auth' { (Get-WindowsFeature Web-Client-Auth).Installed } 'True' { Install-WindowsFeature Web-Client-Auth | Out-Null }
    Resolve-Setting 'mapping, server' { Get-Setting $Mapping 'enabled' } 'True' { Set-Setting $Mapping 'enabled' 'True' }
    Resolve-Setting 'mapping, ActiveSync' { Get-Setting $Mapping 'enabled' $Folder } 'True' { Set-Setting $Mapping 'enabled' 'True' $Folder }
    $flags = if ($required) { 'Ssl,SslNegotiateCert,SslRequireCert' } else { 'Ssl,SslNegotiateCert' }
    Resolve-Setting 'sslFlags' { Format-Flag (((Get-Setting $Access 'sslFlags' $Folder) -replace 'Ssl128', '')) } $flags { Set-Setting $Access 'sslFlags' $flags $Folder }
    $asks = if ($required) { 'Required' } else { 'Allowed' }
    Resolve-Setting 'ClientCertAuth' { (Get-Folder).ClientCertAuth } $asks {
        Set-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)" -ClientCertAuth $asks -Confirm:$false
    }
    if ($required) {
        Resolve-Setting 'password sign-in' { (Get-Folder).BasicAuthEnabled } 'False' {
            Set-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)" -BasicAuthEnabled $false -WindowsAuthEnabled $false -Confirm:$false
        }
    }
    # Set-ActiveSyncVirtualDirectory can switch the mapping off again.
    Resolve-Setting 'mapping, ActiveSync, once more' { Get-Setting $Mapping 'enabled' $Folder } 'True' { Set-Setting $Mapping 'enabled' 'True' $Folder }
    Resolve-Setting 'uploadReadAheadSize, at least 49152' { [int64](Get-Setting $Runtime 'uploadReadAheadSize' $Folder) -ge 49152 } 'True' { Set-Setting $Runtime 'uploadReadAheadSize' '49152' $Folder }
    # Without TLS 1.3 and HTTP/2 the server can ask for the certificate after the handshake.
    $bits = if ($Newer) { 1 + 16 + 64 } else { 1 }
    foreach ($address in $Bindings) {
        if ($null -eq (Get-Binding $address)) { continue }
        Resolve-Setting "binding $address" { ([int](Get-Binding $address).DefaultFlags -band $bits) -eq $bits } 'True' { Set-Binding $address ([int](Get-Binding $address).DefaultFlags -bor $bits) }
    }
    Show-Warning
    if ($PortalExport) { Show-LockedOut } elseif ($required -and -not $Check) { Show-Result 'warning' 'phones' 'give -PortalExport to see which would be locked out' }
}

if ($script:Changed -and $PSCmdlet.ShouldProcess($Server, 'restart IIS')) { Invoke-Program 'iisreset.exe' @('/noforce') | Write-Host }
if ($Check) {
    Write-Host "$($script:Wrong) settings are wrong."
    if ($script:Wrong -gt 0) { exit 1 }
}
