<?php
/*
 * The messenger calls of a Bitrix portal, over the HTTP API of vestnik: include this one file and the code runs as it was written for the
 * module "im". PHP 7.4 to 8.x with json; curl is used when it is there, streams otherwise. Set by constants or the environment:
 *   VESTNIK_URL    http://127.0.0.1:5280
 *   VESTNIK_TOKEN  of a service: vestnikctl token add --name portal --scope "read send-as system chats"
 * A call that fails returns false (or null) and leaves the reason in CIMMessenger::$LAST_ERROR, CIMChat's $LAST_ERROR and $APPLICATION, as there.
 */
namespace Vestnik {

class ApiException extends \Exception
{
	public string $reason;

	public function __construct(string $reason, string $text, int $status)
	{
		parent::__construct($text, $status);
		$this->reason = $reason;
	}

	public function getReason(): string
	{
		return $this->reason;
	}
}

/** One HTTP call per method; nothing is kept between calls but the last error. */
final class Client
{
	public static string $lastError = '';
	public static string $lastText = '';

	private static function setting(string $name, string $default): string
	{
		if (defined($name)) {
			return (string)constant($name);
		}
		$v = getenv($name);
		return $v === false || $v === '' ? $default : $v;
	}

	/** The result, or an ApiException. */
	public static function call(string $method, array $parameters = [])
	{
		$parameters = array_filter($parameters, static function ($v) {
			return $v !== null;
		});
		$body = json_encode((object)$parameters, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
		[$status, $text] = self::post(self::setting('VESTNIK_URL', 'http://127.0.0.1:5280') . '/rest/' . $method, $body);
		$answer = json_decode($text, true);
		if ($status === 200 && is_array($answer) && array_key_exists('result', $answer)) {
			return $answer['result'];
		}
		$reason = is_array($answer) && isset($answer['error']) ? (string)$answer['error'] : 'CONNECTION';
		$why = is_array($answer) && isset($answer['error_description']) ? (string)$answer['error_description']
			: ($status ? "HTTP $status" : 'The server does not answer');
		throw new ApiException($reason, $why, $status);
	}

	/** The same for old-style calls: $failed and the reason in $lastError. */
	public static function attempt(string $method, array $parameters = [], $failed = false)
	{
		self::$lastError = self::$lastText = '';
		try {
			return self::call($method, $parameters);
		} catch (ApiException $e) {
			self::$lastError = $e->getReason();
			self::$lastText = $e->getMessage();
			if (isset($GLOBALS['APPLICATION']) && is_object($GLOBALS['APPLICATION'])
				&& method_exists($GLOBALS['APPLICATION'], 'ThrowException')) {
				$GLOBALS['APPLICATION']->ThrowException($e->getMessage(), $e->getReason());
			}
			return $failed;
		}
	}

	private static function post(string $url, string $body): array
	{
		$headers = ['Content-Type: application/json', 'Authorization: Bearer ' . self::setting('VESTNIK_TOKEN', '')];
		if (function_exists('curl_init')) {
			$c = curl_init($url);
			curl_setopt_array($c, [CURLOPT_POST => true, CURLOPT_POSTFIELDS => $body, CURLOPT_HTTPHEADER => $headers,
				CURLOPT_RETURNTRANSFER => true, CURLOPT_CONNECTTIMEOUT => 5, CURLOPT_TIMEOUT => 60]);
			$text = curl_exec($c);
			return [(int)curl_getinfo($c, CURLINFO_RESPONSE_CODE), is_string($text) ? $text : ''];
		}
		$context = stream_context_create(['http' => ['method' => 'POST', 'header' => $headers, 'content' => $body, 'timeout' => 60,
			'ignore_errors' => true, 'protocol_version' => 1.1]]);
		$stream = @fopen($url, 'r', false, $context);
		if (!$stream) {
			return [0, ''];
		}
		$meta = stream_get_meta_data($stream);
		$text = stream_get_contents($stream);
		fclose($stream);
		return [preg_match('#^HTTP/\S+ (\d+)#', $meta['wrapper_data'][0] ?? '', $m) ? (int)$m[1] : 0, (string)$text];
	}
}

/** What getList() gives back: rows one by one or all. */
class Rows
{
	private array $rows;

	public function __construct(array $rows)
	{
		$this->rows = array_values($rows);
	}

	public function fetch()
	{
		return $this->rows ? array_shift($this->rows) : false;
	}

	public function fetchAll(): array
	{
		$all = $this->rows;
		$this->rows = [];
		return $all;
	}

	public function getSelectedRowsCount(): int
	{
		return count($this->rows);
	}

	public function GetNext()
	{
		return $this->fetch();
	}
}

}

namespace Bitrix\Main {

if (!class_exists(Loader::class, false)) {
	class Loader
	{
		public static function includeModule($name): bool
		{
			return in_array($name, ['im', 'main', 'pull'], true);
		}
	}
}

}

namespace Bitrix\Im {

class Color
{
	public const SAFE = [
		'RED' => '#df532d', 'GREEN' => '#64a513', 'MINT' => '#4ba984', 'LIGHT_BLUE' => '#4ba5c3', 'DARK_BLUE' => '#3e99ce',
		'PURPLE' => '#8474c8', 'AQUA' => '#1eb4aa', 'PINK' => '#f76187', 'LIME' => '#58cc47', 'BROWN' => '#ab7761', 'AZURE' => '#29619b',
		'KHAKI' => '#728f7a', 'SAND' => '#ba9c7b', 'MARENGO' => '#556574', 'GRAY' => '#909090', 'GRAPHITE' => '#5e5f5e',
	];

	public static function getSafeColors(): array
	{
		return self::SAFE;
	}

	public static function getSafeColorNames(): array
	{
		return array_keys(self::SAFE);
	}

	public static function isSafeColor($name): bool
	{
		return isset(self::SAFE[strtoupper((string)$name)]);
	}

	public static function getColor($name): string
	{
		return self::SAFE[strtoupper((string)$name)] ?? '';
	}
}

/** The chats as a table, for reading. Class names know no case in PHP, so chatTable is the same. */
class ChatTable
{
	/** filter: TITLE with % (and %TITLE, =TITLE), ID, ENTITY_TYPE with ENTITY_ID, TYPE; select, limit. */
	public static function getList(array $parameters = []): \Vestnik\Rows
	{
		$ask = ['LIMIT' => $parameters['limit'] ?? null];
		$type = null;
		foreach ($parameters['filter'] ?? [] as $key => $value) {
			$name = ltrim((string)$key, '=@%');
			if ($name === 'TYPE') {
				$type = (array)$value;
			} elseif ($name === 'TITLE' && strpos((string)$key, '%') === 0) {
				$ask['TITLE'] = '%' . $value . '%';
			} else {
				$ask[$name] = $value;
			}
		}
		$rows = \Vestnik\Client::call('vestnik.chat.find', $ask);
		if ($type !== null) {
			$rows = array_filter($rows, static function ($r) use ($type) {
				return in_array($r['TYPE'], $type, true);
			});
		}
		$select = array_filter($parameters['select'] ?? ['*'], 'is_string');
		if ($select && !in_array('*', $select, true)) {
			$rows = array_map(static function ($r) use ($select) {
				return array_intersect_key($r, array_flip($select));
			}, $rows);
		}
		return new \Vestnik\Rows($rows);
	}

	public static function getById($id): \Vestnik\Rows
	{
		return self::getList(['filter' => ['ID' => $id]]);
	}

	public static function getRow(array $parameters)
	{
		return self::getList($parameters)->fetch() ?: null;
	}
}

}

namespace {

use Vestnik\Client;

foreach ([
	'Y' => 'Y', 'N' => 'N',
	'IM_MESSAGE_PRIVATE' => 'P', 'IM_MESSAGE_CHAT' => 'C', 'IM_MESSAGE_GROUP' => 'C', 'IM_MESSAGE_OPEN' => 'O', 'IM_MESSAGE_SYSTEM' => 'S',
	'IM_MESSAGE_OPEN_LINE' => 'L', 'IM_CHAT_TYPE_PERSONAL' => 'PERSONAL',
	'IM_NOTIFY_MESSAGE' => 0, 'IM_NOTIFY_CONFIRM' => 1, 'IM_NOTIFY_FROM' => 2, 'IM_NOTIFY_SYSTEM' => 4,
	'IM_STATUS_UNREAD' => 0, 'IM_STATUS_NOTIFY' => 1, 'IM_STATUS_READ' => 2,
	'IM_NOTIFY_FEATURE_SITE' => 'site', 'IM_NOTIFY_FEATURE_XMPP' => 'xmpp', 'IM_NOTIFY_FEATURE_MAIL' => 'mail', 'IM_NOTIFY_FEATURE_PUSH' => 'push',
] as $name => $value) {
	defined($name) || define($name, $value);
}

if (!class_exists('CModule', false)) {
	class CModule
	{
		public static function IncludeModule($name): bool
		{
			return \Bitrix\Main\Loader::includeModule($name);
		}
	}
}

/** Pictures: SaveFile uploads, the number stands for the file as AVATAR_ID. */
if (!class_exists('CFile', false)) {
	class CFile
	{
		public static function MakeFileArray($path, $type = false)
		{
			if (!is_string($path) || !is_file($path)) {
				return false;
			}
			return ['name' => basename($path), 'size' => filesize($path), 'tmp_name' => $path,
				'type' => $type ?: self::typeOf($path)];
		}

		private static function typeOf(string $path): string
		{
			$known = ['png' => 'image/png', 'jpg' => 'image/jpeg', 'jpeg' => 'image/jpeg', 'gif' => 'image/gif', 'webp' => 'image/webp'];
			$ending = strtolower(pathinfo($path, PATHINFO_EXTENSION));
			return $known[$ending] ?? 'application/octet-stream';
		}

		/** Number of the file, or false. */
		public static function SaveFile($file, $folder, $forceMd5 = false, $skipExtension = false)
		{
			$bytes = is_array($file) ? ($file['content'] ?? @file_get_contents((string)($file['tmp_name'] ?? ''))) : false;
			if ($bytes === false) {
				return false;
			}
			return Client::attempt('vestnik.file.save', ['NAME' => $file['name'] ?? 'file', 'TYPE' => $file['type'] ?? '',
				'CONTENT' => base64_encode($bytes)]);
		}
	}
}

/** Fields of messages as portals write them, to the parameters of im.message.add. */
class CIMMessenger
{
	public static $LAST_ERROR = '';

	private static function yes($v): bool
	{
		return $v === true || $v === 'Y';
	}

	private static function dialog(array $f): ?string
	{
		if (!empty($f['DIALOG_ID'])) {
			return (string)$f['DIALOG_ID'];
		}
		foreach (['TO_CHAT_ID', 'CHAT_ID'] as $key) {
			if (!empty($f[$key])) {
				return 'chat' . (int)$f[$key];
			}
		}
		return empty($f['TO_USER_ID']) ? null : (string)$f['TO_USER_ID'];
	}

	/** Number of the message, or false. */
	public static function Add($f)
	{
		$type = $f['MESSAGE_TYPE'] ?? null;
		if ($type === IM_MESSAGE_SYSTEM || isset($f['NOTIFY_TYPE'])) {
			return CIMNotify::Add($f);
		}
		$from = $f['FROM_USER_ID'] ?? $f['AUTHOR_ID'] ?? 0;
		$params = $f['PARAMS'] ?? [];
		return self::keep(Client::attempt('im.message.add', [
			'DIALOG_ID' => self::dialog($f),
			'FROM_USER_ID' => self::yes($f['SYSTEM'] ?? false) ? 0 : (string)$from,
			'SYSTEM' => self::yes($f['SYSTEM'] ?? false) ? 'Y' : null,
			'MESSAGE' => (string)($f['MESSAGE'] ?? ''),
			'ATTACH' => $f['ATTACH'] ?? $params['ATTACH'] ?? null,
			'KEYBOARD' => $f['KEYBOARD'] ?? $params['KEYBOARD'] ?? null,
			'MENU' => $f['MENU'] ?? $params['MENU'] ?? null,
			'REPLY_ID' => $params['REPLY_ID'] ?? null,
			'TEMPLATE_ID' => $f['TEMPLATE_ID'] ?? null,
		]));
	}

	public static function Update($id, $text, $urlPreview = true, $editFlag = true, $userId = null)
	{
		return self::keep(Client::attempt('im.message.update', ['MESSAGE_ID' => $id, 'MESSAGE' => (string)$text, 'USER' => $userId]));
	}

	public static function Delete($id, $userId = null, $completeDelete = false)
	{
		return self::keep(Client::attempt('im.message.delete', ['MESSAGE_ID' => $id, 'USER' => $userId]));
	}

	public static function Like($id, $action = 'auto', $userId = null)
	{
		return self::keep(Client::attempt('im.message.like', ['MESSAGE_ID' => $id, 'ACTION' => $action, 'USER' => $userId]));
	}

	public static function keep($result)
	{
		self::$LAST_ERROR = Client::$lastText;
		return $result;
	}
}

class CIMMessage
{
	private ?int $user;
	public $LAST_ERROR = '';

	public function __construct($userId = null)
	{
		$this->user = $userId ? (int)$userId : null;
	}

	/** A private message; number of it, or false. */
	public static function Add($f)
	{
		$f['MESSAGE_TYPE'] = IM_MESSAGE_PRIVATE;
		return CIMMessenger::Add($f);
	}

	public static function Delete($id, $userId = null, $completeDelete = false)
	{
		return CIMMessenger::Delete($id, $userId, $completeDelete);
	}

	public function SetReadMessage($fromUserId, $lastId = null)
	{
		return CIMMessenger::keep(Client::attempt('im.dialog.read',
			['DIALOG_ID' => (string)$fromUserId, 'MESSAGE_ID' => $lastId, 'USER' => $this->user])) !== false;
	}

	public function SetReadMessageAll($fromUserId)
	{
		return $this->SetReadMessage($fromUserId);
	}

	public function GetMessage($id)
	{
		return CIMMessenger::keep(Client::attempt('vestnik.message.get', ['MESSAGE_ID' => $id, 'USER' => $this->user]));
	}
}

class CIMChat
{
	public $LAST_ERROR = '';
	private ?int $user;

	public function __construct($userId = null, $params = [])
	{
		$this->user = $userId ? (int)$userId : null;
	}

	private function ask(string $method, array $parameters)
	{
		$result = CIMMessenger::keep(Client::attempt($method, $parameters + ['USER' => $this->user]));
		$this->LAST_ERROR = Client::$lastText;
		return $result;
	}

	/** Number of the new chat, or false. */
	public function Add($f)
	{
		$avatar = $f['AVATAR_ID'] ?? null;
		$users = $f['USERS'] ?? false;
		return $this->ask('im.chat.add', [
			'TYPE' => ($f['TYPE'] ?? IM_MESSAGE_CHAT) === IM_MESSAGE_OPEN ? 'OPEN' : 'CHAT',
			'TITLE' => $f['TITLE'] ?? null,
			'DESCRIPTION' => $f['DESCRIPTION'] ?? null,
			'COLOR' => $f['COLOR'] ?? null,
			'AUTHOR_ID' => $f['AUTHOR_ID'] ?? $this->user,
			'OWNER_ID' => $f['OWNER_ID'] ?? null,
			'AVATAR_ID' => $avatar ?: null,
			'AVATAR' => $f['AVATAR'] ?? null,
			'USERS' => is_array($users) ? array_values($users) : null,
			'MANAGERS' => isset($f['MANAGERS']) ? self::managers($f['MANAGERS']) : null,
			'MESSAGE' => $f['MESSAGE'] ?? null,
			'ENTITY_TYPE' => $f['ENTITY_TYPE'] ?? null,
			'ENTITY_ID' => $f['ENTITY_ID'] ?? null,
			'ENTITY_DATA_1' => $f['ENTITY_DATA_1'] ?? null,
			'ENTITY_DATA_2' => $f['ENTITY_DATA_2'] ?? null,
			'ENTITY_DATA_3' => $f['ENTITY_DATA_3'] ?? null,
			'SKIP_ADD_MESSAGE' => ($f['SKIP_ADD_MESSAGE'] ?? 'N') === 'Y' ? 'Y' : null,
		]);
	}

	/** [47, 48] or [47 => true, 48 => false]. */
	private static function managers(array $list): array
	{
		$out = [];
		foreach ($list as $key => $value) {
			if (is_bool($value)) {
				if ($value) {
					$out[] = $key;
				}
			} else {
				$out[] = $value;
			}
		}
		return $out;
	}

	/** Number of the message, or false. */
	public static function AddMessage($f)
	{
		$f['MESSAGE_TYPE'] = IM_MESSAGE_CHAT;
		return CIMMessenger::Add($f);
	}

	/** A line of the chat itself; number of it, or false. */
	public static function AddSystemMessage($f)
	{
		$text = (string)($f['MESSAGE'] ?? '');
		foreach ($f['MESSAGE_REPLACE'] ?? [] as $what => $with) {
			$text = str_replace((string)$what, (string)$with, $text);
		}
		return CIMMessenger::Add(['MESSAGE_TYPE' => IM_MESSAGE_CHAT, 'TO_CHAT_ID' => $f['CHAT_ID'] ?? $f['TO_CHAT_ID'] ?? 0,
			'SYSTEM' => 'Y', 'FROM_USER_ID' => 0, 'MESSAGE' => $text]);
	}

	/** One person or a list of them. */
	public function AddUser($chatId, $userId, $hideHistory = null, $skipMessage = false, $skipRecent = false)
	{
		return $this->ask('im.chat.user.add', [
			'CHAT_ID' => (int)$chatId,
			'USERS' => array_values((array)$userId),
			'HIDE_HISTORY' => $hideHistory === null ? null : ($hideHistory ? 'Y' : 'N'),
			'SKIP_MESSAGE' => $skipMessage ? 'Y' : null,
		]);
	}

	public function DeleteUser($chatId, $userId, $checkPermission = true, $skipMessage = false, $skipRecent = false)
	{
		return $this->ask('im.chat.user.delete', ['CHAT_ID' => (int)$chatId, 'USER_ID' => $userId, 'SKIP_MESSAGE' => $skipMessage ? 'Y' : null]);
	}

	public function Join($chatId)
	{
		return $this->AddUser($chatId, $this->user);
	}

	public function Rename($chatId, $title, $checkPermission = true, $sendMessage = true)
	{
		return $this->ask('im.chat.updateTitle', ['CHAT_ID' => (int)$chatId, 'TITLE' => (string)$title, 'SKIP_MESSAGE' => $sendMessage ? null : 'Y']);
	}

	public function SetOwner($chatId, $userId, $checkPermission = true)
	{
		return $this->ask('im.chat.setOwner', ['CHAT_ID' => (int)$chatId, 'USER_ID' => $userId]);
	}

	public function SetManager($chatId, $userId, $isManager = true)
	{
		return $this->ask('vestnik.chat.setManager', ['CHAT_ID' => (int)$chatId, 'USER_ID' => $userId, 'MANAGER' => $isManager ? 'Y' : 'N']);
	}

	public function SetManagers($chatId, $users, $checkPermission = true)
	{
		$good = true;
		foreach ($users as $userId => $isManager) {
			$good = $this->SetManager($chatId, $userId, (bool)$isManager) !== false && $good;
		}
		return $good;
	}

	public function SetColor($chatId, $color, $checkPermission = true)
	{
		return $this->ask('im.chat.updateColor', ['CHAT_ID' => (int)$chatId, 'COLOR' => (string)$color]);
	}

	public function SetDescription($chatId, $description)
	{
		return $this->ask('vestnik.chat.setDescription', ['CHAT_ID' => (int)$chatId, 'DESCRIPTION' => (string)$description]);
	}

	public function SetAvatarId($chatId, $fileId)
	{
		return $this->ask('im.chat.updateAvatar', ['CHAT_ID' => (int)$chatId, 'AVATAR_ID' => $fileId]);
	}

	public function MuteNotify($chatId, $mute = true)
	{
		return $this->ask('im.chat.mute', ['CHAT_ID' => (int)$chatId, 'MUTE' => $mute ? 'Y' : 'N']);
	}

	public function SetReadMessage($chatId, $lastId = null)
	{
		return $this->ask('im.dialog.read', ['DIALOG_ID' => 'chat' . (int)$chatId, 'MESSAGE_ID' => $lastId]) !== false;
	}

	public static function GetChatData($params)
	{
		$id = (int)($params['ID'] ?? 0);
		$chat = Client::attempt('im.dialog.get', ['DIALOG_ID' => "chat$id", 'USER' => $params['USER_ID'] ?? null]);
		if (!$chat) {
			return ['chat' => [], 'userInChat' => []];
		}
		$users = Client::attempt('im.chat.user.list', ['CHAT_ID' => $id, 'USER' => $params['USER_ID'] ?? null], []);
		return ['chat' => [$id => $chat], 'userInChat' => [$id => $users]];
	}

	public static function GetUserCount($chatId)
	{
		$chat = Client::attempt('im.dialog.get', ['DIALOG_ID' => 'chat' . (int)$chatId]);
		return $chat ? (int)$chat['user_counter'] : false;
	}

	public static function GetEntityChat($type, $id)
	{
		$found = Client::attempt('im.chat.get', ['ENTITY_TYPE' => $type, 'ENTITY_ID' => $id]);
		return $found ? (int)$found['ID'] : false;
	}

	public static function DeleteEntityChat($type, $id)
	{
		$chat = self::GetEntityChat($type, $id);
		return $chat ? self::deleteChat($chat) : false;
	}

	public static function deleteChat($chatId)
	{
		return Client::attempt('vestnik.chat.delete', ['CHAT_ID' => is_array($chatId) ? (int)$chatId['ID'] : (int)$chatId]);
	}

	public static function hide($chatId)
	{
		return (new self($GLOBALS['USER_ID'] ?? null))->ask('im.recent.hide', ['DIALOG_ID' => 'chat' . (int)$chatId]);
	}
}

class CIMNotify
{
	private ?int $user;

	public function __construct($userId = null)
	{
		$this->user = $userId ? (int)$userId : null;
	}

	private static function buttons($list): ?array
	{
		return is_array($list) && $list ? array_values(array_map(static function ($b) {
			return ['TITLE' => (string)($b['TITLE'] ?? ''), 'VALUE' => (string)($b['VALUE'] ?? ''), 'TYPE' => $b['TYPE'] ?? 'accept'];
		}, $list)) : null;
	}

	/** Number of the notification, or false. */
	public static function Add($f)
	{
		$from = (int)($f['FROM_USER_ID'] ?? 0);
		$type = (int)($f['NOTIFY_TYPE'] ?? ($from ? IM_NOTIFY_FROM : IM_NOTIFY_SYSTEM));
		$buttons = $type === IM_NOTIFY_CONFIRM ? self::buttons($f['NOTIFY_BUTTONS'] ?? [
			['TITLE' => 'OK', 'VALUE' => 'Y', 'TYPE' => 'accept'], ['TITLE' => 'Cancel', 'VALUE' => 'N', 'TYPE' => 'cancel'],
		]) : null;
		return CIMMessenger::keep(Client::attempt('im.notify', [
			'USER_ID' => (string)($f['TO_USER_ID'] ?? $f['USER_ID'] ?? ''),
			'FROM_USER_ID' => (string)$from,
			'TYPE' => $type === IM_NOTIFY_SYSTEM || !$from ? 'SYSTEM' : 'USER',
			'MESSAGE' => (string)($f['NOTIFY_MESSAGE'] ?? $f['MESSAGE'] ?? ''),
			'MESSAGE_OUT' => $f['NOTIFY_MESSAGE_OUT'] ?? $f['MESSAGE_OUT'] ?? null,
			'TITLE' => $f['NOTIFY_TITLE'] ?? $f['TITLE'] ?? null,
			'MODULE' => $f['NOTIFY_MODULE'] ?? null,
			'EVENT' => $f['NOTIFY_EVENT'] ?? null,
			'TAG' => $f['NOTIFY_TAG'] ?? null,
			'SUB_TAG' => $f['NOTIFY_SUB_TAG'] ?? null,
			'LINK' => $f['NOTIFY_LINK'] ?? null,
			'BUTTONS' => $buttons,
			'ANSWER' => ($f['NOTIFY_ANSWER'] ?? 'N') === 'Y' ? 'Y' : null,
			'SILENT' => ($f['NOTIFY_SILENT'] ?? 'N') === 'Y' ? 'Y' : null,
			'FLASH' => ($f['NOTIFY_ONLY_FLASH'] ?? 'N') === 'Y' ? 'Y' : null,
			'READ' => ($f['NOTIFY_READ'] ?? 'N') === 'Y' ? 'Y' : null,
			'ATTACH' => $f['ATTACH'] ?? null,
		]));
	}

	public static function Delete($id)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.delete', ['ID' => $id]));
	}

	public static function DeleteByTag($tag, $authorId = false)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.delete', ['TAG' => (string)$tag, 'AUTHOR_ID' => $authorId ?: null]));
	}

	public static function DeleteBySubTag($subTag, $authorId = false, $pullActive = true)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.delete', ['SUB_TAG' => (string)$subTag, 'AUTHOR_ID' => $authorId ?: null]));
	}

	public static function DeleteByModule($module, $event = '')
	{
		return CIMMessenger::keep(Client::attempt('im.notify.delete', ['MODULE' => (string)$module, 'EVENT' => $event ?: null]));
	}

	public function Confirm($id, $value)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.confirm', ['NOTIFY_ID' => $id, 'NOTIFY_VALUE' => (string)$value, 'USER' => $this->user]));
	}

	public function Answer($id, $text)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.answer', ['NOTIFY_ID' => $id, 'ANSWER_TEXT' => (string)$text, 'USER' => $this->user]));
	}

	public function MarkNotifyRead($id = 0, $andOlder = false)
	{
		$id = (int)$id;
		return CIMMessenger::keep($id ? Client::attempt('im.notify.read', ['ID' => $id, 'ONLY_CURRENT' => $andOlder ? 'N' : 'Y', 'USER' => $this->user])
			: Client::attempt('im.notify.read.all', ['USER' => $this->user]));
	}

	public function MarkNotifyUnRead($id)
	{
		return CIMMessenger::keep(Client::attempt('im.notify.read', ['ID' => $id, 'ACTION' => 'N', 'ONLY_CURRENT' => 'Y', 'USER' => $this->user]));
	}

	public function GetNotifyList($params = [])
	{
		$all = CIMMessenger::keep(Client::attempt('im.notify.get', ['USER' => $this->user, 'CONVERT_TEXT' => 'N']));
		return $all ? $all['notifications'] : [];
	}

	public function GetNotifyCounter($unused = [])
	{
		$all = CIMMessenger::keep(Client::attempt('im.notify.get', ['USER' => $this->user, 'LIMIT' => 1]));
		return $all ? (int)$all['total_unread_count'] : 0;
	}
}

}
