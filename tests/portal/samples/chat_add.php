<?php
if (CModule::IncludeModule('im')) {
	$pic = __DIR__ . '/picture.png';
	$avatarId = \CFile::SaveFile(\CFile::MakeFileArray($pic), 'im');
	$chat = new \CIMChat;
	$colors = array_keys(\Bitrix\Im\Color::getSafeColors());
	$chatId = (new \CIMChat)->Add([
		'TITLE' => 'Чат красный',
		'DESCRIPTION' => 'О красном',
		'COLOR' => $colors[0],
		'TYPE' => IM_MESSAGE_OPEN,
		'AUTHOR_ID' => '5',
		'AVATAR_ID' => $avatarId,
		'USERS' => false,
	]);
	echo json_encode(['chat' => $chatId, 'avatar' => $avatarId, 'error' => CIMMessenger::$LAST_ERROR]);
}
