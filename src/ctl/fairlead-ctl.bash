# Completes the words of fairlead-ctl in bash: commands, options, and the names of backends and strategies, which are
# asked from the server that the words or the environment name.

# Prints what `fairlead-ctl ... "$@"` says, without waiting long or complaining. Keeps the connection's options.
_fairlead_ctl_ask() {
    local i=1 options=()
    while ((i < COMP_CWORD)); do
        case ${COMP_WORDS[i]} in
            --server-url | --api-key)
                # Readline has cut "http://host:5000" at its colons.
                local j=$((i + 1)) value
                [[ ${COMP_WORDS[j]} == = ]] && ((j++))
                value=${COMP_WORDS[j++]}
                while ((j < COMP_CWORD)) && [[ ${COMP_WORDS[j]} == :* || ${COMP_WORDS[j - 1]} == : ]]; do
                    value+=${COMP_WORDS[j]}
                    ((j++))
                done
                options+=("${COMP_WORDS[i]}" "$value")
                i=$j
                ;;
            *) ((i++)) ;;
        esac
    done
    "${COMP_WORDS[0]}" "${options[@]}" --request-timeout 2 "$@" 2>/dev/null
}

# The names of the backends: the first column below the titles, up to two blanks.
_fairlead_ctl_backends() {
    LC_ALL=C _fairlead_ctl_ask list | sed -n '3,$s/  .*//p'
}

_fairlead_ctl_strategies() {
    LC_ALL=C _fairlead_ctl_ask strategy get | sed -n 's/^available strategies *//p' | tr -d ' ' | tr ',' '\n'
}

_fairlead_ctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='status list add remove enable disable drain health-check strategy metrics health-check-control watch'
    local options='--server-url --api-key --request-timeout --json --help --version'
    local command='' sub='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --server-url | --api-key | --request-timeout) ((i++)) ;;
            -* | : | //* | [0-9]*) ;;
            *)
                if [[ -z $command ]]; then
                    if [[ " $commands " == *" ${COMP_WORDS[i]} "* ]]; then command=${COMP_WORDS[i]}; fi
                elif [[ -z $sub ]]; then
                    sub=${COMP_WORDS[i]}
                fi
                ;;
        esac
    done

    COMPREPLY=()
    local words=''
    case $command in
        '') words="$commands $options" ;;
        add)
            words="--name --url --model-name --backend-api-key --weight --max-connections --timeout --priority --tag"
            words+=" $options"
            ;;
        remove | enable | disable | drain | health-check)
            words=$options
            [[ $command == drain ]] && words+=' --wait'
            ;;
        strategy)
            case $sub in
                '') words="get set $options" ;;
                set) words="--strategy --health-check-interval --max-retries --failure-threshold $options" ;;
                *) words=$options ;;
            esac
            ;;
        health-check-control) words="start stop $options" ;;
        watch) words="--interval --count $options" ;;
        *) words=$options ;;
    esac

    case $previous in
        --strategy) words=$(_fairlead_ctl_strategies) ;;
        # Their values are the operator's own.
        --server-url | --api-key | --request-timeout | --name | --url | --model-name | --backend-api-key) return ;;
        --weight | --max-connections | --timeout | --priority | --tag | --interval | --count) return ;;
        --health-check-interval | --max-retries | --failure-threshold) return ;;
        *)
            case $command in
                remove | enable | disable | drain | health-check)
                    if [[ -z $sub && $current != -* ]]; then
                        local name
                        while IFS= read -r name; do
                            # A name with blanks or quotes is one word.
                            [[ $name == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
                        done < <(_fairlead_ctl_backends)
                        return
                    fi
                    ;;
            esac
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _fairlead_ctl fairlead-ctl
