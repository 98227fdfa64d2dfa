package lower

// callNamed is the table of functions, by the subject they are about.
func callNamed(name string) function {
	switch name {
	case "printf", "errorf", "warnf", "time", "cat", "system":
		return sendCall
	case "debugf":
		return debugfCall
	case "print":
		return printCall
	case "join":
		return joinCall
	case "clear", "zero":
		return mapEvent
	case "exit":
		return exitCall
	case "delete":
		return deleteCall
	case "has_key":
		return hasKey
	case "find":
		return findCall
	case "len":
		return lenCall
	case "str", "str_concat":
		return strCall
	case "buf":
		return bufCall
	case "strncmp":
		return strncmpCall
	case "strlen":
		return strlenCall
	case "strcontains", "strstr":
		return strstrCall
	case "memcmp":
		return memcmpCall
	case "argv":
		return argvCall
	case "path":
		return pathCall
	case "ntop":
		return ntopCall
	case "macaddr":
		return macaddrCall
	case "bswap":
		return bswapCall
	case "kstack":
		return kstackCall
	case "ustack":
		return ustackCall
	case "dw_ustack":
		return dwUstackCall
	case "ksym":
		return ksymCall
	case "usym":
		return usymCall
	case "percpu_kaddr":
		return percpuAddress
	case "pton":
		return ptonCall
	case "signal", "signal_thread":
		return signalCall
	case "override":
		return overrideCall
	}
	return ownCall(name)
}
